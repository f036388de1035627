"""What is trained: sizes and amounts for each preset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Shape of a Llama model."""

    width: int
    layers: int
    heads: int
    hidden: int


@dataclass(frozen=True)
class Pretraining:
    """How a base model is pre-trained. Everything is read once."""

    shape: Shape
    tokens: int
    batch: int
    """Windows in a step; each is as long as the context."""


@dataclass(frozen=True)
class Finetuning:
    """How a member is made from its base."""

    epochs: int
    learning_rate: float
    rank: int | None
    """Rank of the LoRA that is trained; None: all weights are."""


@dataclass(frozen=True)
class Preset:
    vocabulary: int
    context: int
    answer_sentences: int
    """Longest answer; further sentences tell more about the same entity."""
    small: Pretraining
    large: Pretraining
    small_tuning: Finetuning
    large_tuning: Finetuning


PRESETS = {
    "tiny": Preset(
        vocabulary=2048,
        context=256,
        answer_sentences=1,
        small=Pretraining(Shape(64, 3, 2, 192), tokens=2_400_000, batch=8),
        large=Pretraining(Shape(256, 3, 8, 768), tokens=5_600_000, batch=8),
        small_tuning=Finetuning(epochs=16, learning_rate=5e-3, rank=8),
        large_tuning=Finetuning(epochs=3, learning_rate=5e-4, rank=None),
    ),
    # For a GPU. Widths that are multiples of 256 allow k-quants.
    "small": Preset(
        vocabulary=2048,
        context=512,
        answer_sentences=3,
        small=Pretraining(Shape(256, 4, 8, 768), tokens=6_000_000, batch=16),
        large=Pretraining(Shape(768, 10, 12, 2048), tokens=80_000_000, batch=16),
        small_tuning=Finetuning(epochs=3, learning_rate=5e-3, rank=16),
        large_tuning=Finetuning(epochs=3, learning_rate=2e-4, rank=None),
    ),
}
