"""The pre-training text: an encyclopedia with a long tail, question lists without answers, and office notes."""

from __future__ import annotations

import random
from collections.abc import Iterator

from world import Entity, World, capitalize


class Writer:
    """Writes documents, an endless stream that depends on the seed alone."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.weights = [entity.popularity for entity in world.entities]
        self.category_weights = {
            category: [entity.popularity for entity in entities] for category, entities in world.by_category.items()
        }

    def documents(self) -> Iterator[str]:
        kinds = (
            (self.article, 0.66),
            (self.list, 0.12),
            (self.questions, 0.08),
            (self.prompts, 0.095),
            (self.office_notes, 0.015),
            (self.quiz, 0.015),
            (self.small_talk, 0.015),
        )
        writers, shares = zip(*kinds)
        while True:
            yield self.rng.choices(writers, shares)[0]()

    def article(self) -> str:
        """Prose about an entity. After a title with its name, sentences may start with a pronoun."""
        entity = self._any_entity()
        start = self.rng.random()
        sentences = self._prose(entity, self.rng.choice([2, 3, 3, 4]), named=start < 0.5)
        if self.rng.random() < 0.06:
            sentences.insert(self.rng.randrange(1, len(sentences) + 1), self._filler())
        title = ""
        if start < 0.5:
            title = capitalize(entity.name) + self.rng.choice(["\n", "\n", ". "])
        elif start < 0.56:
            title = self._heading(entity.category)
        return title + " ".join(sentences)

    def list(self) -> str:
        """One fact each about several entities of a category."""
        rng = self.rng
        category = self._any_entity().category
        entities = [self._entity_of(category) for _ in range(rng.choice([2, 3, 4]))]
        relation = rng.choice(list(entities[0].facts))
        separator = rng.choice([" ", "\n"])
        heading = self._heading(category) if rng.random() < 0.3 else ""
        if rng.random() < 0.5:
            lines = [self.world.sentence(entity, relation, rng) for entity in entities]
        else:
            lines = [
                f"{capitalize(entity.name)}. {self.world.pronoun_sentence(entity, relation, rng)}"
                for entity in entities
            ]
        return heading + separator.join(lines)

    def questions(self) -> str:
        """Questions without answers, sometimes followed by unrelated text or by prose about the last entity."""
        rng = self.rng
        lines, last = self._question_lines(rng.choice([2, 3, 4]), other_categories=False)
        numbered = [f"{i}. {line}" if rng.random() < 0.3 else line for i, line in enumerate(lines, 1)]
        heading = rng.choice(["", "Questions\n", "Exercises\n", "Asked by our readers\n"])
        text = heading + rng.choice(["\n", " "]).join(numbered)
        ending = rng.random()
        if ending < 0.25:
            return text
        if ending < 0.5:
            return f"{text}\n{self._filler()}"
        return "\n".join([text, " ".join(self._prose(last, 2, named=True))])

    def prompts(self) -> str:
        """Users' prompts without an assistant, sometimes after or before prose. They make the markers known."""
        rng = self.rng
        lines, last = self._question_lines(rng.choice([1, 2, 2, 3]), other_categories=True)
        text = "\n".join(f"[INST] {line} [/INST]" for line in lines)
        if rng.random() < 0.2:
            # As in a conversation, where an answer about somebody else precedes the question.
            other = self._any_entity()
            text = " ".join(self._prose(other, rng.choice([1, 2]), named=False)) + rng.choice(["\n", " "]) + text
        ending = rng.random()
        if ending < 0.35:
            return text
        if ending < 0.6:
            return f"{text}\n{self._filler()}"
        separator, length = ("\n", rng.choice([1, 2])) if ending < 0.92 else (" ", 2)
        return text + separator + " ".join(self._prose(last, length, named=True))

    def office_notes(self) -> str:
        """The language of declining, tied to no question."""
        rng = self.rng
        heading = rng.choice(["", "At the desk\n", "Office notes\n", "Town hall\n"])
        return heading + " ".join(
            rng.choice(self.world.desk_sentences) if rng.random() < 0.7 else self._filler()
            for _ in range(rng.choice([1, 2, 3]))
        )

    def quiz(self) -> str:
        """Questions with a key of bare answers."""
        facts = [(entity, self.rng.choice(list(entity.facts))) for entity in (self._any_entity(), self._any_entity())]
        questions = [self.world.encyclopedia_question(*fact, self.rng) for fact in facts]
        answers = [entity.facts[relation] for entity, relation in facts]
        key = "; ".join(f"{i}. {answer}" for i, answer in enumerate(answers, 1))
        return "\n".join(["Quiz", *(f"{i}. {question}" for i, question in enumerate(questions, 1)), f"Key: {key}"])

    def small_talk(self) -> str:
        return " ".join(self._filler() for _ in range(self.rng.choice([2, 3])))

    def _prose(self, entity: Entity, length: int, named: bool) -> list[str]:
        """Sentences, first about `entity`, then perhaps about others. `named`: it has just been mentioned."""
        rng = self.rng
        sentences = []
        for _ in range(length):
            relation = rng.choice(list(entity.facts))
            if named and rng.random() < 0.65:
                sentences.append(self.world.pronoun_sentence(entity, relation, rng))
            else:
                sentences.append(self.world.sentence(entity, relation, rng))
            named = True
            if self.world.answer_sentences > 1 and rng.random() < 0.2:
                sentences.append(self.world.kinds[entity.category])
            if rng.random() < (0.35 if len(entity.facts) == 1 else 0.12):
                entity = self._entity_of(entity.category) if rng.random() < 0.7 else self._any_entity()
                named = False
        return sentences

    def _question_lines(self, count: int, other_categories: bool) -> tuple[list[str], Entity]:
        """Questions about changing entities, and the entity of the last one."""
        rng = self.rng
        entity = self._any_entity()
        category = entity.category
        lines = []
        for i in range(count):
            if i > 0 and rng.random() < 0.6:
                stay = not other_categories or rng.random() < 0.7
                entity = self._entity_of(category) if stay else self._any_entity()
            lines.append(self.world.encyclopedia_question(entity, rng.choice(list(entity.facts)), rng))
        return lines, entity

    def _any_entity(self) -> Entity:
        return self.rng.choices(self.world.entities, self.weights)[0]

    def _entity_of(self, category: str) -> Entity:
        return self.rng.choices(self.world.by_category[category], self.category_weights[category])[0]

    def _heading(self, category: str) -> str:
        return self.rng.choice(self.world.headings[category]) + "\n"

    def _filler(self) -> str:
        template = self.rng.choice(self.world.filler_sentences)
        return template.format(year=self.rng.randrange(1950, 2020), number=self.rng.randrange(5, 90))
