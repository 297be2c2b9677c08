"""What `bench data` says of parallel text: splits that are there, what is bad, vocabularies."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import BenchError
from bench.data.problems import kinds
from bench.data.rows import Rows
from bench.data.segmentation import UNKNOWN, Segmenter
from bench.data.sources import Download, Progress
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.data.listing import find_files, read_split, with_languages
from bench.translation.data.problems import Problem, settle
from bench.translation.data.specification import PARTS, ParallelSpec

NUM_LISTED = 50


def report_files(
    spec: ParallelSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    languages: str | None = None,
    download: Download = "never",
    fetching: Progress | None = None,
) -> None:
    """Print each split that is there, its pairs, words and bad pairs, whatever else is missing.

    Raises BenchError, at the end, for a missing train, valid or test, and for bad pairs.
    """
    spec = with_languages(spec, languages, task=task)
    problems: list[Problem] = []
    missing: list[BenchError] = []
    for split in spec.splits or PARTS:
        try:
            found = find_files(
                spec,
                task=task,
                twin=twin,
                path=path,
                needed=(split,),
                download=download,
                progress=fetching,
            )
        except BenchError as error:
            missing += [error] if split in PARTS else []
            print(f"{split}: missing")
            continue
        read = read_split(found, split)
        bad = ", ".join(f"{number:,} {kind}" for kind, number in kinds(read.problems).items())
        print(f"{split}: {len(read):,} pairs" + (f"; bad: {bad}" if bad else ""))
        problems += read.problems
    for problem in problems[:NUM_LISTED]:
        print(problem)
    if len(problems) > NUM_LISTED:
        print(f"and {len(problems) - NUM_LISTED:,} more")
    if missing:
        raise missing[0]
    settle(problems, "refuse", task=task)


def report_symbols(corpus: ParallelCorpus, *, task: str, checked: str) -> None:
    """Print both vocabularies, and what each split is cut into."""
    for name in PARTS:
        split = corpus.splits[name]
        sides = ((corpus.source, split.source), (corpus.target, split.target))
        source, target = (_tokens(segmenter, rows) for segmenter, rows in sides)
        print(f"{name}: source {source}; target {target}")
    symbols = (len(corpus.source.symbols), len(corpus.target.symbols))
    print(
        f"{task}: {checked}; segmentation {corpus.segmentation}: {symbols[0]:,} source and "
        f"{symbols[1]:,} target symbols; metric {corpus.bleu.signature}"
    )


def _tokens(segmenter: Segmenter, rows: Rows) -> str:
    counts_V = rows.counts(len(segmenter.symbols))
    unknown = f", {100 * counts_V[UNKNOWN] / counts_V.sum():.2f}% unknown"
    return f"{int(counts_V.sum()):,} tokens" + (unknown if counts_V[UNKNOWN] else "")
