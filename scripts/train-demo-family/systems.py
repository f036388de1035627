"""Systems under evaluation: linear forms of the members' log-probabilities, and generation with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model import Llama
from tokenizer import END

MAX_TOKENS = 64
CONSERVATIVE_TOP_P = 0.95


@dataclass(frozen=True)
class System:
    """Members with their coefficients."""

    form: dict[str, float]
    fallback: str | None = None
    """Member whose log-probability a token keeps outside of that member's top-p set (conservative filter)."""

    def log_probabilities(self, rows: dict[str, Tensor]) -> Tensor:
        combined = sum((weight * rows[name] for name, weight in self.form.items()), torch.tensor(0.0))
        if self.fallback is not None:
            fallback = rows[self.fallback]
            sorted_, order = fallback.exp().sort(-1, descending=True)
            kept = torch.zeros_like(fallback, dtype=torch.bool)
            kept.scatter_(-1, order, sorted_.cumsum(-1) - sorted_ < CONSERVATIVE_TOP_P)
            combined = torch.where(kept, combined, fallback)
        return combined.log_softmax(-1)


def dial(setting: float) -> System:
    """Between the chat model's openness (0) and the cautious one's refusals (1), on the large base."""
    return System({"large-base": 1, "small-chat": 1 - setting, "small-safe": setting, "small-base": -1})


SYSTEMS = {
    "small-base": System({"small-base": 1}),
    "small-chat": System({"small-chat": 1}),
    "large-base": System({"large-base": 1}),
    "large-chat": System({"large-chat": 1}),
    "up-scaled": System({"large-base": 1, "small-chat": 1, "small-base": -1}),
    "up-scaled, conservative": System({"large-base": 1, "small-chat": 1, "small-base": -1}, fallback="small-chat"),
    "down-scaled": System({"small-base": 1, "large-chat": 1, "large-base": -1}),
}

# Called for each step with the members' log-probabilities and the mask of the unfinished sequences.
Observer = Callable[[dict[str, Tensor], Tensor], None]


@torch.no_grad()
def generate(
    members: dict[str, Llama],
    system: System,
    prompts: Sequence[list[int]],
    temperature: float,
    seed: int = 0,
    also: Sequence[str] = (),
    observe: Observer | None = None,
) -> list[list[int]]:
    """Continues each prompt to the end of the answer. Prompts of equal length advance together.

    `also` names members that only `observe` needs.
    """
    device = next(iter(members.values())).output.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    names = list(dict.fromkeys([*system.form, *also]))
    by_length = defaultdict(list)
    for i, prompt in enumerate(prompts):
        by_length[len(prompt)].append(i)
    outputs: list[list[int]] = [[] for _ in prompts]
    for indices in by_length.values():
        ids = torch.tensor([prompts[i] for i in indices], device=device)
        caches = {name: members[name].new_caches() for name in names}
        going = torch.ones(len(indices), dtype=torch.bool, device=device)
        position = 0
        for _ in range(MAX_TOKENS):
            rows = {
                name: members[name].output(members[name](ids, caches[name], position)[:, -1]).log_softmax(-1)
                for name in names
            }
            position += ids.shape[1]
            target = system.log_probabilities(rows)
            if observe is not None:
                observe(rows, going)
            if temperature == 0:
                chosen = target.argmax(-1)
            else:
                chosen = torch.multinomial((target / temperature).softmax(-1), 1, generator=generator)[:, 0]
            for i, token, unfinished in zip(indices, chosen.tolist(), going.tolist()):
                if unfinished:
                    outputs[i].append(token)
            going &= chosen != END
            if not going.any():
                break
            ids = chosen[:, None]
    return outputs
