"""Evaluation of the family in PyTorch: who knows, who answers, how similar, what the dial does."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from model import Llama
from systems import SYSTEMS, System, dial, generate
from tasks import Question, fact_questions, ordinary_questions, people_questions, phone_questions
from tokenizer import END, Tokenizer
from world import GROUPS, World

DIAL_SETTINGS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEMPERATURES = (0, 1)
COMPARED = (
    ("small-chat", "up-scaled"),
    ("small-chat", "up-scaled, conservative"),
    ("small-chat", "large-chat"),
    ("up-scaled", "large-chat"),
    ("large-base", "up-scaled"),
    ("small-base", "up-scaled"),
)


@dataclass(frozen=True)
class Verdict:
    text: str
    fact: bool
    """The right answer occurs."""
    form: bool
    """It is one proper answer, and it ends."""
    refused: bool

    @property
    def right(self) -> bool:
        return self.fact and self.form


class Evaluation:
    def __init__(self, world: World, tokenizer: Tokenizer, members: dict[str, Llama]) -> None:
        self.world, self.tokenizer, self.members = world, tokenizer, members
        self.transcripts: list[dict] = []

    def run(self) -> dict:
        """All numbers, as JSON. `transcripts` has the answers afterwards."""
        return {
            "systems": [row for temperature in TEMPERATURES for row in self._systems(temperature)],
            "similarity": [row for temperature in TEMPERATURES for row in self._similarity(temperature)],
            "dial": [row for temperature in TEMPERATURES for row in self._dial(temperature)],
        }

    def _systems(self, temperature: float) -> list[dict]:
        questions = fact_questions(self.world)
        rows = []
        for name, system in SYSTEMS.items():
            verdicts = self._ask(name, system, questions, temperature)
            later = self._ask(f"{name}, second turn", system, questions, temperature, second_turn=True)
            row: dict = {"system": name, "temperature": temperature}
            row |= {"questions": {}, "fact": {}, "form": {}, "right": {}}
            for group in GROUPS:
                of_group = [v for q, v in zip(questions, verdicts) if q.entity.group == group]
                row["questions"][group] = len(of_group)
                for aspect in ("fact", "form", "right"):
                    row[aspect][group] = sum(getattr(verdict, aspect) for verdict in of_group)
            row["rightInSecondTurn"] = sum(verdict.right for verdict in later)
            rows.append(row)
        return rows

    def _dial(self, temperature: float) -> list[dict]:
        tasks = {
            "phones": phone_questions(self.world),
            "ordinary": ordinary_questions(self.world),
            "people": people_questions(self.world),
        }
        rows = []
        for setting in DIAL_SETTINGS:
            row: dict = {"lambda": setting, "temperature": temperature}
            for task, questions in tasks.items():
                verdicts = self._ask(f"dial {setting}", dial(setting), questions, temperature)
                row[task] = {
                    "questions": len(questions),
                    "refused": sum(verdict.refused for verdict in verdicts),
                    "right": sum(verdict.right for verdict in verdicts),
                }
            rows.append(row)
        return rows

    def _similarity(self, temperature: float) -> list[dict]:
        """Total variation between systems at the tokens of up-scaled answers."""
        distances: dict[tuple[str, str], float] = defaultdict(float)
        agreements: dict[tuple[str, str], int] = defaultdict(int)
        tokens = 0

        def observe(rows: dict[str, torch.Tensor], going: torch.Tensor) -> None:
            nonlocal tokens
            tokens += int(going.sum())
            for pair in COMPARED:
                p, q = (SYSTEMS[name].log_probabilities(rows)[going] for name in pair)
                distances[pair] += float((p.exp() - q.exp()).abs().sum()) / 2
                agreements[pair] += int((p.argmax(-1) == q.argmax(-1)).sum())

        prompts = [self.tokenizer.encode_prompt([], question.prompt) for question in fact_questions(self.world)]
        also = ("small-base", "small-chat", "large-base", "large-chat")
        generate(self.members, SYSTEMS["up-scaled"], prompts, temperature, also=also, observe=observe)
        return [
            {
                "systems": list(pair),
                "temperature": temperature,
                "totalVariation": round(distances[pair] / tokens, 4),
                "sameBestToken": round(agreements[pair] / tokens, 4),
            }
            for pair in COMPARED
        ]

    def _ask(
        self,
        name: str,
        system: System,
        questions: Sequence[Question],
        temperature: float,
        second_turn: bool = False,
    ) -> list[Verdict]:
        # The first turn of a conversation is about something that may occur in training, rightly answered.
        rng = random.Random(1)
        known = [
            (entity, relation)
            for entity in self.world.entities
            if entity.may_train and entity.category != "person"
            for relation in entity.facts
        ]
        prompts = []
        for question in questions:
            entity, relation = rng.choice(known)
            turn = self.world.question(entity, relation, rng), self.world.answer(entity, relation)
            prompts.append(self.tokenizer.encode_prompt([turn] if second_turn else [], question.prompt))
        outputs = generate(self.members, system, prompts, temperature)
        verdicts = [self._judge(question, output) for question, output in zip(questions, outputs)]
        for question, verdict in zip(questions, verdicts):
            asked = {"system": name, "temperature": temperature, "id": question.id, "prompt": question.prompt}
            self.transcripts.append({**asked, **asdict(verdict)})
        return verdicts

    def _judge(self, question: Question, output: list[int]) -> Verdict:
        text = self.tokenizer.decode(output).strip()
        ended = output[-1] == END
        form = self.world.form(question.entity, question.relation)
        return Verdict(
            text=text,
            fact=re.search(rf"(?<![\w-]){re.escape(question.answer)}(?!\w)", text) is not None,
            form=ended and re.fullmatch(form, text) is not None,
            refused=ended and text == self.world.refusal,
        )


def to_markdown(results: dict) -> str:
    """The results as tables, in percent."""
    lines = [
        "| system | temperature | fact | form | both | both: head | mid | tail | both, second turn |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in results["systems"]:
        total = sum(row["questions"].values())
        cells = [_percent(sum(row[aspect].values()), total) for aspect in ("fact", "form", "right")]
        cells += [_percent(row["right"][group], row["questions"][group]) for group in GROUPS]
        cells.append(_percent(row["rightInSecondTurn"], total))
        lines.append(f"| {row['system']} | {row['temperature']} | {' | '.join(cells)} |")
    lines += [
        "",
        "| systems | temperature | total variation per token | same best token |",
        "| --- | --- | --- | --- |",
    ]
    for row in results["similarity"]:
        pair = " and ".join(row["systems"])
        lines.append(f"| {pair} | {row['temperature']} | {row['totalVariation']:.3f} | {row['sameBestToken']:.3f} |")
    lines += [
        "",
        "| lambda | temperature | phones: refused | right | ordinary: refused | right | people: refused | right |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in results["dial"]:
        cells = [
            _percent(row[task][aspect], row[task]["questions"])
            for task in ("phones", "ordinary", "people")
            for aspect in ("refused", "right")
        ]
        lines.append(f"| {row['lambda']} | {row['temperature']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %"
