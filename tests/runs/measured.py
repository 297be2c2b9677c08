"""Runs of a few seconds with tensors of hundreds of megabytes, estimated and carried out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import tiny_captioning
import tiny_frames
import tiny_speech
import tiny_task
import tiny_translation
from command_line import program

from bench.core.record import read_record

GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""What tensors leave goes back to the system at once (glibc); else pieces are kept for later, and
what is measured is up to a tenth more than what is held."""
CARDS = {
    "tiny": tiny_task.CARD,
    "tiny-translation": tiny_translation.CARD,
    "tiny-speech": tiny_speech.CARD,
    "tiny-captioning": tiny_captioning.CARD,
    "tiny-frames": tiny_frames.CARD,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run by its command line, and what of its card is changed for it."""

    task: str
    corpus: dict[str, str]
    arguments: str

    def suite(self, folder: Path) -> Path:
        """A suite with the changed card."""
        card = CARDS[self.task]
        for old, new in self.corpus.items():
            assert card.count(old) == 1, old
            card = card.replace(old, new)
        (folder / "tasks").mkdir()
        (folder / "tasks" / f"{self.task}.yaml").write_text(card)
        return folder

    @property
    def command(self) -> list[str]:
        """The run on one thread."""
        settings = self.arguments.split()
        fixed = ("--trainer.max-epochs", "1", "--trainer.threads", "1", "--track", "none")
        return ["run", "--task", self.task, *fixed, *settings]


CASES = {
    "activations": Case(
        task="tiny",
        corpus={"num_train_tokens: 2000": "num_train_tokens: 120000"},
        arguments="--model lstm --model.hidden-size 64 --objective.batch-size 600 "
        "--objective.bptt-length 100",
    ),
    "weights": Case(
        task="tiny",
        corpus={
            "num_train_tokens: 2000": "num_train_tokens: 200",
            "num_valid_tokens: 400": "num_valid_tokens: 50",
            "num_test_tokens: 300": "num_test_tokens: 50",
        },
        arguments="--model lstm --model.hidden-size 1200",
    ),
    "translation": Case(
        task="tiny-translation",
        corpus={"num_train: 60": "num_train: 2000", "num_nouns: 6": "num_nouns: 60"},
        arguments="--model gru --model.hidden-size 128 --objective.batch-tokens 12000",
    ),
    "speech": Case(
        task="tiny-speech",
        corpus={"train: 4": "train: 20"},
        arguments="--model lstm --model.hidden-size 256 --model.num-layers 2 "
        "--objective.stack-frames 1 --objective.batch-frames 6000",
    ),
    "captions": Case(
        task="tiny-captioning",
        corpus={"num_train: 30": "num_train: 900"},
        arguments="--model gru --model.hidden-size 256 --objective.batch-tokens 10000",
    ),
    "frames": Case(
        task="tiny-frames",
        corpus={"num_train: 20": "num_train: 160", "frame_size: 12": "frame_size: 24"},
        arguments="--model conv-lstm --model.hidden-size 32 --model.kernel-size 3 "
        "--model.state-kernel-size 3 --objective.batch-size 160",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Megabytes."""

    estimated: float
    base: float
    measured: float


def carry_out(case: Case, folder: Path) -> Outcome:
    """The estimate and the measurement, each by a process of its own."""
    suite = case.suite(folder)
    told = program(*case.command, "--dry-run", folder=suite, **GIVE_BACK)
    assert told.status == 0, told
    assert not (suite / "results").exists()
    done = program(*case.command, folder=suite, **GIVE_BACK)
    assert done.status == 0, done
    (path,) = (suite / "results" / case.task / "runs").iterdir()
    measured = read_record(path).cost.peak_memory_bytes
    assert measured is not None
    return Outcome(
        estimated=megabytes(told.out, "estimated peak"),
        base=megabytes(told.out, "base"),
        measured=measured / 1e6,
    )


def megabytes(table: str, part: str) -> float:
    """The size of a part in the table that a dry run prints."""
    (found,) = re.findall(rf"^{part} +([\d,.]+) MB", table, re.M)
    return float(found.replace(",", ""))
