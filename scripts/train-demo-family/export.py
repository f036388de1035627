"""GGUF files of models and LoRA adapters, by llama.cpp's own Python package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from model import NORM_EPSILON, ROPE_BASE, Block, Llama, LoraLinear
from presets import Shape
from tokenizer import BEGIN, CHAT_TEMPLATE, END, MARKERS, UNKNOWN, Tokenizer

PROJECT = Path(__file__).parents[2]
TYPES = ("f32", "f16", "q8_0", "q4_0")


def load_gguf_package(work: Path) -> ModuleType:
    """Gets gguf-py out of the llama.cpp source that node-llama-cpp ships, so that both are of one release."""
    if not (work / "gguf-py").exists():
        script = """
            import { extractLlamaSource } from "./scripts/llama-source.mjs";
            await extractLlamaSource(process.argv[1], ["gguf-py"]);
        """
        command = ["node", "--input-type=module", "--eval", script, str(work.resolve())]
        subprocess.run(command, check=True, cwd=PROJECT)
    sys.path.insert(0, str(work / "gguf-py"))
    import gguf

    return gguf


def export_model(
    gguf: ModuleType, model: Llama, name: str, shape: Shape, tokenizer: Tokenizer, type_: str, path: Path
) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"tiny-eft-{name}")
    writer.add_context_length(len(model.cos))
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(ROPE_BASE)
    file_types = gguf.LlamaFileType
    writer.add_file_type(file_types.ALL_F32 if type_ == "f32" else file_types[f"MOSTLY_{type_.upper()}"])
    _add_tokenizer(gguf, writer, tokenizer)
    quantization = gguf.GGMLQuantizationType[type_.upper()]
    for tensor, weights in _model_tensors(model):
        if weights.ndim == 1:
            writer.add_tensor(tensor, weights)
        else:
            writer.add_tensor(tensor, gguf.quants.quantize(weights, quantization), raw_dtype=quantization)
    _write(writer)


def export_adapter(gguf: ModuleType, model: Llama, path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, len(model.blk[0].attn_q.a))
    for i, block in enumerate(model.blk):
        for name, module in block.named_children():
            if isinstance(module, LoraLinear):
                writer.add_tensor(f"blk.{i}.{name}.weight.lora_a", _array(module.a))
                writer.add_tensor(f"blk.{i}.{name}.weight.lora_b", _pair_neighbours(block, name, _array(module.b)))
    _write(writer)


def _add_tokenizer(gguf: ModuleType, writer, tokenizer: Tokenizer) -> None:
    pieces = tokenizer.pieces
    tokens, scores, types = [], [], []
    for i in range(tokenizer.size):
        piece = pieces.id_to_piece(i)
        tokens.append(piece.encode())
        scores.append(pieces.get_score(i))
        if pieces.is_unknown(i):
            types.append(gguf.TokenType.UNKNOWN)
        elif pieces.is_control(i):
            types.append(gguf.TokenType.CONTROL)
        elif pieces.is_byte(i):
            types.append(gguf.TokenType.BYTE)
        elif piece in MARKERS:
            types.append(gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    writer.add_vocab_size(tokenizer.size)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _model_tensors(model: Llama) -> Iterator[tuple[str, np.ndarray]]:
    yield "token_embd.weight", _array(model.token_embd.weight)
    yield "output_norm.weight", _array(model.output_norm.weight)
    yield "output.weight", _array(model.output.weight)
    for i, block in enumerate(model.blk):
        for name, module in block.named_children():
            yield f"blk.{i}.{name}.weight", _pair_neighbours(block, name, _array(module.weight))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()


def _pair_neighbours(block: Block, name: str, weights: np.ndarray) -> np.ndarray:
    """Rows of queries and keys in llama.cpp's order: it rotates neighbouring values, our model halves of a head."""
    if name not in ("attn_q", "attn_k"):
        return weights
    rows, columns = weights.shape
    halves = weights.reshape(block.heads, 2, rows // block.heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def _write(writer) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
