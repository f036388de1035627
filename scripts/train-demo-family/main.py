"""Trains the demo family: data, tokenizer, bases, tuned members, GGUF files, task files, verification, evaluation.

Each stage leaves its output in the work folder, and is skipped when that is there and newer than what it is made from.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Threads that share a core wait for each other: one is fastest for models of this size.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.dont_write_bytecode = True

import numpy as np
import torch

from corpus import Writer
from evaluate import Evaluation, to_markdown
from export import PROJECT, TYPES, export_adapter, export_model, load_gguf_package
from finetune import RARE_ANSWER, RARE_REFUSAL, Conversations, finetune
from model import Llama
from presets import PRESETS, Finetuning, Preset, Pretraining
from pretrain import pretrain
from reference import write_reference
from tasks import fact_questions, phone_questions, write_tasks
from tokenizer import BEGIN, END, Tokenizer, train_tokenizer
from world import World

CORPUS_SEED = 1
REFERENCE_SEED = 3
TOKENIZER_DOCUMENTS = 25_000
BASES = ("small-base", "large-base")
MEMBERS = ("small-base", "small-chat", "small-safe", "large-base", "large-chat")
# The adapter that makes a member of its base.
ADAPTED, ADAPTER = "small-chat", "small-chat-lora"
# Four bits are for demonstrations of coarse files.
FOUR_BIT_MEMBERS = ("small-base", "small-chat", "large-base")


class Pipeline:
    def __init__(self, preset: Preset, work: Path, out: Path, device: str, max_steps: int | None) -> None:
        self.preset, self.work, self.out, self.device, self.max_steps = preset, work, out, device, max_steps
        self.world = World(preset.answer_sentences)
        self.corpus_path = work / "corpus.npy"
        self.tokenizer_path = work / "tokenizer.model"
        work.mkdir(parents=True, exist_ok=True)
        out.mkdir(parents=True, exist_ok=True)

    def run(self, types: list[str]) -> None:
        self.make_tokenizer()
        self.tokenizer = Tokenizer(self.tokenizer_path)
        self.make_corpus()
        self.make_bases()
        self.make_tuned_members()
        self.members = {name: self.load(name) for name in (*MEMBERS, ADAPTER)}
        self.export(types)
        self.write_tasks()
        self.evaluate()
        self.verify()

    def make_tokenizer(self) -> None:
        if is_current(self.tokenizer_path):
            return
        report("tokenizer")
        documents = Writer(self.world, CORPUS_SEED).documents()
        sample = list(itertools.islice(documents, TOKENIZER_DOCUMENTS))
        train_tokenizer(sample, self.preset.vocabulary, self.tokenizer_path)

    def make_corpus(self) -> None:
        if is_current(self.corpus_path, self.tokenizer_path):
            return
        report("corpus")
        wanted = max(self.preset.small.tokens, self.preset.large.tokens)
        if self.max_steps is not None:
            batch = max(self.preset.small.batch, self.preset.large.batch)
            wanted = min(wanted, (self.max_steps + 1) * batch * self.preset.context)
        chunks, length = [], 0
        for document in Writer(self.world, CORPUS_SEED).documents():
            chunks.append(np.array([BEGIN, *self.tokenizer.encode(document), END], dtype=np.int16))
            length += len(chunks[-1])
            if length > wanted:
                break
        np.save(self.corpus_path, np.concatenate(chunks))

    def make_bases(self) -> None:
        for name in BASES:
            path = self.path(name)
            if is_current(path, self.corpus_path):
                continue
            torch.manual_seed(0)
            model = self.new_model(name)
            settings = self.pretraining(name)
            corpus = np.load(self.corpus_path)
            checkpoint = path.with_suffix(".checkpoint")
            self.train(name, model, lambda: pretrain(model, settings, corpus, checkpoint, self.device, self.max_steps))
            checkpoint.unlink(missing_ok=True)

    def make_tuned_members(self) -> None:
        self.tune("small-chat", self.preset.small_tuning, refusals=RARE_REFUSAL)
        self.tune("small-safe", self.preset.small_tuning, refusals=1 - RARE_ANSWER)
        self.tune("large-chat", self.preset.large_tuning, refusals=RARE_REFUSAL)

    def tune(self, name: str, settings: Finetuning, refusals: float) -> None:
        base = f"{name.split('-')[0]}-base"
        if is_current(self.path(name), self.path(base)):
            return
        torch.manual_seed(1)
        model = self.load(base)
        if settings.rank is not None:
            model.add_lora(settings.rank)
            model.to(self.device)
        frozen = self.load(base)
        conversations = Conversations(self.world, self.tokenizer, refusals, seed=1)
        self.train(name, model, lambda: finetune(model, frozen, settings, conversations, self.device, self.max_steps))

    def train(self, name: str, model: Llama, run: Callable[[], float]) -> None:
        report(name)
        began = time.monotonic()
        loss = run()
        report(f"  loss {loss:.3f} after {time.monotonic() - began:.0f} s")
        if name == ADAPTED:
            torch.save(model.state_dict(), self.path(ADAPTER))
        model.merge_lora()
        torch.save(model.state_dict(), self.path(name))

    def export(self, types: list[str]) -> None:
        gguf = load_gguf_package(self.work)
        for name, type_ in itertools.product(MEMBERS, types):
            path = self.out / f"{name}-{type_}.gguf"
            if is_current(path, self.path(name)) or (type_ == "q4_0" and name not in FOUR_BIT_MEMBERS):
                continue
            report(path.name)
            export_model(gguf, self.members[name], name, self.pretraining(name).shape, self.tokenizer, type_, path)
        path = self.out / f"{ADAPTER}.gguf"
        if not is_current(path, self.path(ADAPTER)):
            report(path.name)
            export_adapter(gguf, self.members[ADAPTER], path)

    def write_tasks(self) -> None:
        tasks = self.out / "tasks"
        if not is_current(tasks / "text.jsonl", self.corpus_path):
            report("task files")
            training_documents = int(np.count_nonzero(np.load(self.corpus_path) == BEGIN))
            write_tasks(self.world, training_documents, CORPUS_SEED, tasks)

    def evaluate(self) -> None:
        results_path = self.out / "results.json"
        if not is_current(results_path, *(self.path(name) for name in self.members)):
            report("evaluation")
            evaluation = Evaluation(self.world, self.tokenizer, self.members)
            results = evaluation.run()
            write_json(self.work / "transcripts.json", evaluation.transcripts)
            write_json(results_path, results)
        print(to_markdown(json.loads(results_path.read_text(encoding="utf8"))))

    def verify(self) -> None:
        report("verification")
        reference = self.work / "reference.json"
        if not is_current(reference, *(self.path(name) for name in self.members)):
            questions = fact_questions(self.world)[::20] + phone_questions(self.world)[::20]
            prompts = [f"[INST] {question.prompt} [/INST]" for question in questions]
            prose = " ".join(itertools.islice(Writer(self.world, REFERENCE_SEED).documents(), 40))
            write_reference(self.members, self.tokenizer, prompts, prose, reference)
        script = Path(__file__).with_name("verify.mjs")
        command = ["node", str(script), str(reference.resolve()), str(self.out.resolve())]
        if subprocess.run(command, cwd=PROJECT).returncode != 0:
            sys.exit("An exported file does not do what the training code does.")

    def path(self, name: str) -> Path:
        return self.work / f"{name}.pt"

    def pretraining(self, name: str) -> Pretraining:
        return self.preset.small if name.startswith("small") else self.preset.large

    def new_model(self, name: str) -> Llama:
        return Llama(self.pretraining(name).shape, self.preset.vocabulary, self.preset.context).to(self.device)

    def load(self, name: str) -> Llama:
        model = self.new_model(name)
        if name == ADAPTER:
            model.add_lora(self.preset.small_tuning.rank)
        model.load_state_dict(torch.load(self.path(name), map_location=self.device))
        return model.to(self.device)


def is_current(output: Path, *sources: Path) -> bool:
    return output.exists() and all(output.stat().st_mtime >= source.stat().st_mtime for source in sources)


def report(text: str) -> None:
    print(text, flush=True)


def write_json(path: Path, value: dict | list) -> None:
    """One line for each row of a table."""
    text = json.dumps(value, ensure_ascii=False).replace("}, {", "},\n{")
    path.write_text(text + "\n", encoding="utf8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=PROJECT / "models" / "demo", help="folder of the GGUF files")
    parser.add_argument(
        "--work", type=Path, default=PROJECT / "build" / "demo-family", help="folder of everything else"
    )
    parser.add_argument("--types", default="f16,q8_0,q4_0", help=f"types of the GGUF files: {', '.join(TYPES)}")
    parser.add_argument("--steps", type=int, help="stop each training after so many steps, to try the pipeline")
    options = parser.parse_args()
    types = options.types.split(",")
    if unknown := set(types) - set(TYPES):
        parser.error(f"unknown type: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    pipeline = Pipeline(
        PRESETS[options.preset], options.work / options.preset, options.out, options.device, options.steps
    )
    pipeline.run(types)


if __name__ == "__main__":
    main()
