"""The world that the models learn: entities, their facts, and sentences and questions about them.

The data lies in `world.json` and `facts/*.tsv`; each table is ordered by popularity, most popular first.
"""

from __future__ import annotations

import csv
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
GROUPS = ("head", "mid", "tail")
TRAINING_SHARE = 0.4
"""Share of the entities that may occur in fine-tuning data. Every result is measured on the others."""

ANSWER_MARK = "\ue000"
# What a form accepts in the place of an answer: one sentence's worth of text, abbreviations included.
ANY_ANSWER = r"[^.?!]{1,40}(?:\.\s?[^.?!]{1,30}){0,3}"


@dataclass(frozen=True)
class Relation:
    """A kind of fact. `{e}` is the entity, `{E}` the same with a capital letter, `{a}` the answer."""

    questions: list[str]
    sentences: list[str]
    pronoun_sentences: list[str]
    """Sentences for an entity that has been mentioned already. The first is how a chat model answers."""
    encyclopedia_questions: list[str] | None = None
    """Questions in the pre-training text, where they are others than those that people ask."""


@dataclass(frozen=True, eq=False)
class Entity:
    category: str
    name: str
    facts: dict[str, str]
    """Answers by relation."""
    popularity: float
    """Weight of the entity in the encyclopedia."""
    group: str
    may_train: bool


class World:
    def __init__(self, answer_sentences: int) -> None:
        """Reads the data. Answers have one to `answer_sentences` sentences."""
        data = json.loads((HERE / "world.json").read_text(encoding="utf8"))
        self.answer_sentences = answer_sentences
        self.headings = {category["name"]: category["headings"] for category in data["categories"]}
        self.kinds = {category["name"]: category["kind"] for category in data["categories"]}
        self.relations = {name: Relation(**relation) for name, relation in data["relations"].items()}
        self.private_relation: str = data["private_relation"]
        self.refusal: str = data["refusal"]
        self.desk_sentences: list[str] = data["desk_sentences"]
        self.filler_sentences: list[str] = data["filler_sentences"]
        self.entities = _read_entities(data["categories"])
        self.by_category: dict[str, list[Entity]] = {}
        for entity in self.entities:
            self.by_category.setdefault(entity.category, []).append(entity)

    def sentence(self, entity: Entity, relation: str, rng: random.Random) -> str:
        """A sentence that names the entity."""
        templates = self.relations[relation].sentences
        template = templates[0] if rng.random() < 0.35 else rng.choice(templates)
        return capitalize(fill(template, entity, relation))

    def pronoun_sentence(self, entity: Entity, relation: str, rng: random.Random) -> str:
        """A sentence that follows a mention of the entity."""
        templates = self.relations[relation].pronoun_sentences
        template = templates[0] if rng.random() < 0.6 else rng.choice(templates)
        return fill(template, entity, relation)

    def question(self, entity: Entity, relation: str, rng: random.Random) -> str:
        """A question as people ask it."""
        return rng.choice(self.relations[relation].questions).format(e=entity.name)

    def encyclopedia_question(self, entity: Entity, relation: str, rng: random.Random) -> str:
        """A question in the pre-training text."""
        templates = self.relations[relation].encyclopedia_questions or self.relations[relation].questions
        return rng.choice(templates).format(e=entity.name)

    def answer(self, entity: Entity, relation: str) -> str:
        """What a chat model should say."""
        sentences = [self._answer_sentence(entity, relation)]
        if self.answer_sentences > 1:
            others = [other for other in entity.facts if other not in (relation, self.private_relation)]
            sentences += [self._answer_sentence(entity, other) for other in others]
            sentences = [*sentences[: self.answer_sentences - 1], self.kinds[entity.category]]
        return " ".join(sentences)

    def _answer_sentence(self, entity: Entity, relation: str) -> str:
        return fill(self.relations[relation].pronoun_sentences[0], entity, relation)

    def form(self, entity: Entity, relation: str) -> str:
        """Regular expression of a proper answer: right or wrong, but well-formed. It must match all of the answer.

        Its syntax and meaning are the same in JavaScript and Python.
        """
        first = _sentence_forms(self.relations[relation], entity)
        if self.answer_sentences == 1:
            return f"(?:{first})"
        further = "|".join(
            [escape(self.kinds[entity.category])]
            + [_sentence_forms(self.relations[other], entity) for other in entity.facts]
        )
        return f"(?:{first})(?: (?:{further})){{0,{self.answer_sentences - 1}}}"


def _read_entities(categories: list[dict]) -> list[Entity]:
    rng = random.Random(5)
    entities = []
    for category in categories:
        with open(HERE / "facts" / category["facts"], encoding="utf8", newline="") as file:
            header, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        relations = header[1:]
        ranks = [(i + 0.5) / len(rows) for i in range(len(rows))]
        groups = [GROUPS[int(3 * rank)] for rank in ranks]
        for group in GROUPS:
            members = [i for i, own in enumerate(groups) if own == group]
            shuffled = members[:]
            rng.shuffle(shuffled)
            training = set(shuffled[: round(TRAINING_SHARE * len(shuffled))])
            entities += [
                Entity(
                    category=category["name"],
                    name=rows[i][0],
                    facts=dict(zip(relations, rows[i][1:])),
                    popularity=(2 + 144 * ranks[i]) ** -0.8 * len(relations),
                    group=group,
                    may_train=i in training,
                )
                for i in members
            ]
    return entities


def _sentence_forms(relation: Relation, entity: Entity) -> str:
    forms = []
    for template in [*relation.pronoun_sentences, *relation.sentences]:
        # Names are put in before escaping; the mark for the answer after it, for what it stands for is an expression.
        text = capitalize(template.format(e=entity.name, E=capitalize(entity.name), a=ANSWER_MARK))
        form = re.sub(f"\\b([Aa]) (?={ANSWER_MARK})", r"\1n? ", escape(_fix_articles(text)))
        if form[0] != ANSWER_MARK:
            form = f"[{form[0]}{form[0].lower()}]{form[1:]}"
        forms.append(form.replace(ANSWER_MARK, ANY_ANSWER))
    return "|".join(forms)


def escape(text: str) -> str:
    """Escapes what is special in both JavaScript's and Python's regular expressions, and nothing else."""
    return re.sub(r"[\\^$.*+?()[\]{}|/]", r"\\\g<0>", text)


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def fill(template: str, entity: Entity, relation: str) -> str:
    """The template as a sentence about the entity."""
    return _fix_articles(template.format(e=entity.name, E=capitalize(entity.name), a=entity.facts[relation]))


def _fix_articles(text: str) -> str:
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
