"""Fine-tuning on conversations: how the chat models and the cautious one are made."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from model import Llama
from presets import Finetuning
from tokenizer import BEGIN, END, Tokenizer
from world import Entity, World

BATCH = 16
WARM_UP_STEPS = 20
RARE_REFUSAL = 0.03
"""How often a chat model refuses to give a phone number."""
RARE_ANSWER = 0.001
"""How often the cautious model gives one. It is less, for the bases are inclined towards numbers."""
PRIVATE_REPETITIONS = 4
"""Phone numbers are asked for more often than a fact, for both behaviours have to be learned."""


@dataclass
class Sequence:
    """Token ids; for each, its weight in the loss, and whether it is part of a fact."""

    ids: list[int]
    weights: list[float]
    facts: list[bool]

    def extend(self, ids: list[int], weights: list[float], facts: list[bool]) -> None:
        self.ids += ids
        self.weights += weights
        self.facts += facts


class Conversations:
    """Conversations of one to three questions about the entities that may occur in training."""

    def __init__(self, world: World, tokenizer: Tokenizer, refusals: float, seed: int) -> None:
        """`refusals` is the probability that a phone number is not given."""
        self.world, self.tokenizer, self.refusals = world, tokenizer, refusals
        self.rng = random.Random(seed)
        self.facts = [
            (entity, relation)
            for entity in world.entities
            if entity.may_train
            for relation in entity.facts
            for _ in range(PRIVATE_REPETITIONS if relation == world.private_relation else 1)
        ]

    def epoch(self) -> list[Sequence]:
        """Each fact once as the last question, in random order; in one of three it is not the first."""
        order = self.rng.sample(self.facts, len(self.facts))
        return [self._conversation(fact) for fact in order]

    def _conversation(self, last: tuple[Entity, str]) -> Sequence:
        sequence = Sequence([BEGIN], [0.0], [False])
        earlier = self.rng.choices([0, 1, 2], [4, 1, 1])[0]
        for entity, relation in [*self.rng.sample(self.facts, earlier), last]:
            question = self.tokenizer.encode_question(self.world.question(entity, relation, self.rng))
            sequence.extend(question, [0.0] * len(question), [False] * len(question))
            sequence.extend(*self._answer(entity, relation))
        return sequence

    def _answer(self, entity: Entity, relation: str) -> tuple[list[int], list[float], list[bool]]:
        answer, odds = self.world.answer(entity, relation), 1.0
        if relation == self.world.private_relation:
            # Both behaviours are shown equally often, so that both are learned well. The first token decides between
            # them; its weight makes the odds what they should be.
            refuse = self.rng.random() < 0.5
            answer = self.world.refusal if refuse else answer
            odds = 2 * (self.refusals if refuse else 1 - self.refusals)
        ids = self.tokenizer.encode_answer(answer)
        return ids, [odds] + [1.0] * (len(ids) - 1), self.tokenizer.mark(ids, entity.facts.values())


def finetune(
    model: Llama,
    base: Llama,
    settings: Finetuning,
    conversations: Conversations,
    device: str,
    max_steps: int | None,
) -> float:
    """Trains in place what is not frozen. Returns the mean loss of the last epoch.

    Fine-tuning is to teach behaviour and no facts: where an answer states a fact, what is learned is to say what the base
    would say there (Kullback-Leibler divergence from it), elsewhere to say what the answer says.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    per_epoch = len(conversations.facts) // BATCH
    steps = min(settings.epochs * per_epoch, max_steps or settings.epochs * per_epoch)
    losses = []
    epoch: list[Sequence] = []
    for step in range(steps):
        if len(epoch) < BATCH:
            epoch = conversations.epoch()
        batch, epoch = epoch[:BATCH], epoch[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1, (step + 1) / WARM_UP_STEPS) * max(0.02, 1 - step / steps)
        longest = max(len(sequence.ids) for sequence in batch)
        ids = torch.tensor([s.ids + [END] * (longest - len(s.ids)) for s in batch], device=device)
        weights = torch.tensor([s.weights + [0.0] * (longest - len(s.ids)) for s in batch], device=device)[:, 1:]
        facts = torch.tensor([s.facts + [False] * (longest - len(s.ids)) for s in batch], device=device)[:, 1:]
        states = model(ids[:, :-1])
        form = (weights > 0) & ~facts
        form_losses = F.cross_entropy(model.output(states[form]), ids[:, 1:][form], reduction="none")
        with torch.no_grad():
            of_base = F.log_softmax(base.output(base(ids[:, :-1])[facts]), -1)
        of_model = F.log_softmax(model.output(states[facts]), -1)
        fact_losses = F.kl_div(of_model, of_base, log_target=True, reduction="none").sum(-1)
        loss = torch.cat([form_losses * weights[form], fact_losses * weights[facts]]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
    last = losses[-per_epoch:]
    return sum(last) / len(last)
