"""What the exported files must reproduce: tokens, next-token probabilities and greedy text of the training code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from model import Llama
from systems import System, generate
from tokenizer import BEGIN, Tokenizer

POSITIONS = 8
"""Positions compared in each text."""


def write_reference(
    members: dict[str, Llama], tokenizer: Tokenizer, prompts: list[str], prose: str, path: Path
) -> None:
    """Writes the cases for `verify.mjs`. `prose` should fill the context; of longer texts the beginning is taken."""
    context = len(next(iter(members.values())).cos)
    texts = ["The", *prompts, prose]
    tokens = [[BEGIN, *tokenizer.encode(text)] for text in texts]
    # Bytes have never been trained, and what follows them is ill-conditioned: only their tokens are compared.
    foreign = "Ελλάδα, naïve — 日本"
    reference: dict = {
        "texts": [
            *({"text": text, "tokens": ids} for text, ids in zip(texts, tokens)),
            {"text": foreign, "tokens": [BEGIN, *tokenizer.encode(foreign)]},
        ],
        "members": {},
    }
    encoded = [[BEGIN, *tokenizer.encode(prompt)] for prompt in prompts]
    for name, model in members.items():
        continued = generate(members, System({name: 1}), encoded, temperature=0)
        reference["members"][name] = {
            "rows": [_rows(model, ids[:context]) for ids in tokens],
            "greedy": [
                {"text": prompt, "continuation": ids, "leads": _leads(model, start, ids)}
                for prompt, start, ids in zip(prompts, encoded, continued)
            ],
        }
    path.write_text(json.dumps(reference, ensure_ascii=False), encoding="utf8")


def _leads(model: Llama, prompt: list[int], continuation: list[int]) -> list[float]:
    """By how much each greedy token was more probable than the second best, in logarithms."""
    best = _log_probabilities(model, prompt + continuation)[len(prompt) - 1 : -1].topk(2).values
    return [round(lead, 6) for lead in (best[:, 0] - best[:, 1]).tolist()]


@torch.no_grad()
def _log_probabilities(model: Llama, ids: list[int]) -> Tensor:
    logits = model.output(model(torch.tensor([ids], device=model.output.weight.device))[0])
    return logits.double().log_softmax(-1)


def _rows(model: Llama, ids: list[int]) -> list[dict]:
    log_probabilities = _log_probabilities(model, ids)
    last = len(ids) - 1
    positions = sorted({round(i * last / (POSITIONS - 1)) for i in range(POSITIONS)})
    return [
        {"position": at, "logProbabilities": [round(x, 7) for x in log_probabilities[at].tolist()]} for at in positions
    ]
