"""Small finished runs that several tests share; tests add to them and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.config import merge
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.runs.run import run

WORDS = ["the", "a", "dog", "cat", "house", "bird", "sees", "likes", "and", "of", "big", "small"]
SETTINGS: dict[str, Any] = {
    "objective": {"batch_size": 4, "bptt_length": 7},
    "optim": {"lr": 0.02, "clip_at": 0.2},
    "trainer": {"max_epochs": 6, "threads": 1},
}
RUNS: dict[str, dict[str, Any]] = {
    "srn": {"model": {"name": "srn", "hidden_size": 8}},
    "srn-2": {"model": {"name": "srn", "hidden_size": 8}, "seed": 2},
    "lstm": {"model": {"name": "lstm", "hidden_size": 6, "num_layers": 2}},
    "scrn": {"model": {"name": "scrn", "hidden_size": 6, "context_size": 4}},
}


def write_corpus(folder: Path) -> Path:
    """Three files of words in a fixed disorder, with repetitions that a cache can use."""
    folder.mkdir()
    for split, num_lines in (("train", 120), ("valid", 40), ("test", 50)):
        lines = [
            " ".join(
                WORDS[(7 * line + 5 * place * place + line // 9 * place) % (4 + line % 9)]
                for place in range(3 + line % 5)
            )
            for line in range(num_lines)
        ]
        (folder / f"{split}.txt").write_text("\n".join([*lines, " ".join(WORDS)]) + "\n")
    return folder


def carry_out(suite: Suite, corpus: Path, **settings: Any) -> Record:
    """A run of the task `text` on a folder of files."""
    overrides = merge({"data": {"path": str(corpus)}}, settings)
    return run(resolve(suite, "text", overrides=overrides), suite)


def make_runs(suite: Suite, corpus: Path) -> dict[str, Record]:
    """Name -> record: three small networks, one of them twice, and a bigram model."""
    made = {
        name: carry_out(suite, corpus, **merge(SETTINGS, parts)) for name, parts in RUNS.items()
    }
    made["ngram"] = carry_out(suite, corpus, model={"name": "ngram", "order": 2})
    return made
