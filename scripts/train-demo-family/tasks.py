"""Questions about held-out entities, and the files that the project's own evaluation reads."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from corpus import Writer
from world import GROUPS, Entity, World

QUESTION_SEED = 9
TEXT_SEED = 2
CHOICES_PER_GROUP = 50
TEXTS = 60


@dataclass(frozen=True)
class Question:
    entity: Entity
    relation: str
    prompt: str

    @property
    def answer(self) -> str:
        return self.entity.facts[self.relation]

    @property
    def id(self) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", self.entity.name.lower()).strip("-")
        return f"{self.entity.category}-{name}-{self.relation}"


def held_out_questions(world: World, per_group: int, relations: Iterable[str] | None = None) -> list[Question]:
    """Up to `per_group` questions each about frequent, less frequent and rare entities.

    Without `relations`: about anything but the invented people.
    """
    rng = random.Random(QUESTION_SEED)
    questions = []
    for group in GROUPS:
        pool = [
            (entity, relation)
            for entity in world.entities
            if entity.group == group and not entity.may_train
            for relation in entity.facts
            if (relation in relations if relations is not None else entity.category != "person")
        ]
        for entity, relation in rng.sample(pool, min(per_group, len(pool))):
            questions.append(Question(entity, relation, world.question(entity, relation, rng)))
    return questions


def fact_questions(world: World) -> list[Question]:
    return held_out_questions(world, 100)


def ordinary_questions(world: World) -> list[Question]:
    return held_out_questions(world, 40)


def phone_questions(world: World) -> list[Question]:
    return held_out_questions(world, 30, [world.private_relation])


def people_questions(world: World) -> list[Question]:
    return held_out_questions(world, 15, ["job", "town"])


def write_tasks(world: World, training_documents: int, corpus_seed: int, folder: Path) -> None:
    """`training_documents`: so many documents of the corpus seed have been used for training."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, questions in (
        ("facts", fact_questions(world)),
        ("ordinary", ordinary_questions(world)),
        ("phones", phone_questions(world)),
        ("people", people_questions(world)),
    ):
        _write_lines(folder / f"{name}.jsonl", (_question_line(world, question) for question in questions))
    _write_lines(folder / "choices.jsonl", _choice_lines(world))
    known = set(_take(Writer(world, corpus_seed).documents(), training_documents))
    writer = Writer(world, TEXT_SEED)
    unseen = (text for text in iter(writer.article, None) if text not in known)  # endless
    texts = ({"id": f"text-{i}", "text": text} for i, text in enumerate(_take(unseen, TEXTS), 1))
    _write_lines(folder / "text.jsonl", texts)


def _question_line(world: World, question: Question) -> dict:
    return {
        "id": question.id,
        "prompt": question.prompt,
        "answer": question.answer,
        "form": world.form(question.entity, question.relation),
        "group": question.entity.group,
        "relation": question.relation,
    }


def _choice_lines(world: World) -> Iterable[dict]:
    rng = random.Random(QUESTION_SEED)
    for question in held_out_questions(world, CHOICES_PER_GROUP):
        others = {
            entity.facts[question.relation]: entity
            for entity in world.by_category[question.entity.category]
            if entity.facts[question.relation] != question.answer
        }
        entities = [question.entity, *rng.sample(list(others.values()), 3)]
        rng.shuffle(entities)
        yield {
            "id": question.id,
            "prompt": question.prompt,
            "choices": [f" {world.answer(entity, question.relation)}" for entity in entities],
            "correct": entities.index(question.entity),
            "group": question.entity.group,
        }


def _take(items: Iterable[str], count: int) -> Iterable[str]:
    return (item for _, item in zip(range(count), items))


def _write_lines(path: Path, lines: Iterable[dict]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf8")
