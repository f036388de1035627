"""Pre-training of a base model, with checkpoints from which it goes on as if it had not been interrupted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model import Llama
from presets import Pretraining

MUON_RATE = 0.02
ADAM_RATE = 4e-3
WARM_UP_STEPS = 60
DECAY_START = 0.3
CHECKPOINT_STEPS = 200


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, for matrices: learns facts in far fewer tokens than Adam.

    Keller Jordan's method (https://kellerjordan.github.io/posts/muon/): five Newton-Schulz iterations.
    """

    def __init__(self, matrices: list[Tensor], lr: float, precision: torch.dtype) -> None:
        super().__init__(matrices, {"lr": lr})
        self.precision = precision

    @torch.no_grad()
    def step(self) -> None:
        momentum = 0.95
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                if not state:
                    state["average"] = torch.zeros_like(matrix)
                state["average"].mul_(momentum).add_(matrix.grad)
                update = _orthogonalize((matrix.grad + momentum * state["average"]).to(self.precision))
                rows, columns = matrix.shape
                matrix.add_(update, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def _orthogonalize(x: Tensor) -> Tensor:
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.t()
        x = 3.4445 * x + torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315) @ x
    return x.t() if tall else x


def bfloat16_is_fast(device: str) -> bool:
    """Whether to multiply in bfloat16: three times as fast as float32 on a CPU that has instructions for it."""
    cpu = Path("/proc/cpuinfo")
    return device != "cpu" or (cpu.exists() and "avx512_bf16" in cpu.read_text())


def pretrain(
    model: Llama, settings: Pretraining, corpus: np.ndarray, checkpoint: Path, device: str, max_steps: int | None
) -> float:
    """Trains the model in place on windows of the corpus, each read once, in a random but fixed order.

    Returns the mean loss of the last steps. Prints a line for every 50 steps.
    """
    context = len(model.cos)
    tokens_per_step = settings.batch * context
    starts = np.random.default_rng(0).permutation((min(len(corpus), settings.tokens) - 1) // context) * context
    steps = min(len(starts) // settings.batch, max_steps or len(starts))
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    in_blocks = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in in_blocks]
    optimizers = [
        Muon(matrices, MUON_RATE, torch.bfloat16 if bfloat16_is_fast(device) else torch.float32),
        torch.optim.AdamW(others, ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    rates = (MUON_RATE, ADAM_RATE)
    first, losses = 0, []
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        first, losses = state["step"], state["losses"]
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
    fast = bfloat16_is_fast(device)
    began = time.monotonic()
    for step in range(first, steps):
        for optimizer, rate in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * _schedule(step, steps)
        chosen = starts[step * settings.batch : (step + 1) * settings.batch]
        windows = np.stack([corpus[start : start + context + 1] for start in chosen]).astype(np.int64)
        ids = torch.from_numpy(windows).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=fast):
            logits = model.output(model(ids[:, :-1]))
        loss = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
        done = step + 1
        if done % 50 == 0 or done == steps:
            speed = (done - first) * tokens_per_step / (time.monotonic() - began)
            print(f"  step {done}/{steps}  loss {np.mean(losses[-50:]):.3f}  {speed:.0f} tokens/s", flush=True)
        if done % CHECKPOINT_STEPS == 0 and done < steps:
            _save(
                {
                    "step": done,
                    "losses": losses,
                    "model": model.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                },
                checkpoint,
            )
    return float(np.mean(losses[-50:]))


def _schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: warm-up, a plateau, and a linear decay to 3 %."""
    decay = max(0.0, (step + 1) / steps - DECAY_START) / (1 - DECAY_START)
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - 0.97 * decay)


def _save(state: dict, path: Path) -> None:
    # An interruption must not leave half a checkpoint behind.
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)
