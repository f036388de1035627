"""The tokenizer that all members share, and the chat template."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

UNKNOWN, BEGIN, END = 0, 1, 2
MARKERS = ("[INST]", "[/INST]")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)


class Tokenizer:
    """SentencePiece BPE with byte fallback and without a space in front of the text."""

    def __init__(self, model: Path) -> None:
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self.size: int = self.pieces.get_piece_size()

    def encode(self, text: str) -> list[int]:
        return self.pieces.encode(text)

    def decode(self, ids: list[int]) -> str:
        return self.pieces.decode([i for i in ids if i not in (BEGIN, END)])

    def encode_prompt(self, turns: list[tuple[str, str]], question: str) -> list[int]:
        """Renders a conversation as the chat template does: earlier questions with their answers, a new question."""
        ids = [BEGIN]
        for earlier, answer in turns:
            ids += self.encode_question(earlier) + self.encode_answer(answer)
        return ids + self.encode_question(question)

    def encode_question(self, question: str) -> list[int]:
        return self.encode(f"[INST] {question} [/INST]")

    def encode_answer(self, answer: str) -> list[int]:
        return [*self.encode(f" {answer}"), END]

    def mark(self, ids: list[int], passages: Iterable[str]) -> list[bool]:
        """Which tokens have a part in one of these passages of the text."""
        text = self.decode(ids)
        spans = [match.span() for passage in passages for match in re.finditer(re.escape(passage), text)]
        ends = [len(self.decode(ids[: i + 1])) for i in range(len(ids))]
        tokens = zip([0, *ends], ends)
        return [any(start < stop and end > begin for begin, stop in spans) for start, end in tokens]


def train_tokenizer(sample: list[str], vocabulary: int, model: Path) -> None:
    text = model.with_suffix(".txt")
    text.write_text("\n".join(sample) + "\n", encoding="utf8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(model.with_suffix("")),
        vocab_size=vocabulary,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        character_coverage=1.0,
        unk_id=UNKNOWN,
        bos_id=BEGIN,
        eos_id=END,
        pad_id=-1,
        user_defined_symbols=list(MARKERS),
        num_threads=1,
        minloglevel=2,
    )
    text.unlink()
