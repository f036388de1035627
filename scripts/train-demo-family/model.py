"""A Llama model as llama.cpp computes it: RMS norm, rotary positions, SwiGLU; with an optional LoRA."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from presets import Shape

NORM_EPSILON = 1e-5
ROPE_BASE = 10000.0


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + NORM_EPSILON) * self.weight


class LoraLinear(nn.Module):
    """A frozen matrix and an update of low rank. The update is not scaled: alpha equals the rank."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + F.linear(F.linear(x, self.a), self.b)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        self.linear.weight += self.b @ self.a
        return self.linear


class Cache:
    """Keys and values of the tokens so far, for one block."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat((self.keys, keys), 2), torch.cat((self.values, values), 2)
        self.keys, self.values = keys, values
        return keys, values


class Block(nn.Module):
    """Attention and feed-forward layer. The names are those of the tensors in a GGUF file."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        residual_scale = (2 * shape.layers) ** -0.5
        self.attn_norm = Norm(shape.width)
        self.attn_q = _matrix(shape.width, shape.width)
        self.attn_k = _matrix(shape.width, shape.width)
        self.attn_v = _matrix(shape.width, shape.width)
        self.attn_output = _matrix(shape.width, shape.width, residual_scale)
        self.ffn_norm = Norm(shape.width)
        self.ffn_gate = _matrix(shape.width, shape.hidden)
        self.ffn_up = _matrix(shape.width, shape.hidden)
        self.ffn_down = _matrix(shape.hidden, shape.width, residual_scale)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor, cache: Cache | None) -> Tensor:
        batch, length, width = x.shape
        normed = self.attn_norm(x)
        queries, keys, values = (
            project(normed).view(batch, length, self.heads, -1).transpose(1, 2)
            for project in (self.attn_q, self.attn_k, self.attn_v)
        )
        queries, keys = _rotate(queries, *rotation), _rotate(keys, *rotation)
        if cache is not None:
            keys, values = cache.extend(keys, values)
        size = width // self.heads
        queries, keys, values = (t.reshape(batch * self.heads, -1, size) for t in (queries, keys, values))
        scores = torch.baddbmm(mask.expand(len(queries), -1, -1), queries, keys.transpose(1, 2), alpha=size**-0.5)
        attended = torch.bmm(scores.softmax(-1), values)
        attended = attended.view(batch, self.heads, length, -1).transpose(1, 2).reshape(batch, length, width)
        x = x + self.attn_output(attended)
        normed = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(normed)) * self.ffn_up(normed))


class Llama(nn.Module):
    def __init__(self, shape: Shape, vocabulary: int, context: int) -> None:
        super().__init__()
        self.token_embd = nn.Embedding(vocabulary, shape.width)
        self.blk = nn.ModuleList([Block(shape) for _ in range(shape.layers)])
        self.output_norm = Norm(shape.width)
        self.output = _matrix(shape.width, vocabulary, 0.5)
        nn.init.normal_(self.token_embd.weight, std=0.5)
        half = shape.width // shape.heads // 2
        frequencies = ROPE_BASE ** (-torch.arange(half).float() / half)
        angles = torch.arange(context).float()[:, None] * frequencies
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.register_buffer("mask", torch.full((context, context), -torch.inf).triu(1), persistent=False)

    def forward(self, ids: Tensor, caches: list[Cache] | None = None, position: int = 0) -> Tensor:
        """Normalised hidden states; `output` turns them into logits."""
        end = position + ids.shape[1]
        rotation = self.cos[position:end], self.sin[position:end]
        mask = self.mask[position:end, :end]
        x = self.token_embd(ids)
        for i, block in enumerate(self.blk):
            x = block(x, rotation, mask, caches[i] if caches else None)
        return self.output_norm(x)

    def new_caches(self) -> list[Cache]:
        return [Cache() for _ in self.blk]

    def add_lora(self, rank: int) -> None:
        """Puts an update of low rank on all matrices of the blocks and freezes the rest."""
        self.requires_grad_(False)
        for block in self.blk:
            for name, module in list(block.named_children()):
                if isinstance(module, nn.Linear):
                    setattr(block, name, LoraLinear(module, rank))

    def merge_lora(self) -> None:
        """Makes an ordinary model of one with a LoRA."""
        for block in self.blk:
            for name, module in list(block.named_children()):
                if isinstance(module, LoraLinear):
                    setattr(block, name, module.merged())


def _matrix(inputs: int, outputs: int, gain: float = 1) -> nn.Linear:
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=gain * inputs**-0.5)
    return linear


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    # Halves of a head, as in Hugging Face's layout. GGUF files pair neighbours: the export permutes rows.
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
