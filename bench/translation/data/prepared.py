"""From a card to what an objective reads: pairs of sentences by split, as text and as ids.

find_files -> read_split -> Assembly -> ParallelCorpus        or a grammar, where nothing is read
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.core.errors import BenchError, nearest
from bench.data.problems import OnBad
from bench.data.sources import Download, cache_folder
from bench.data.sources import Progress as Fetching
from bench.data.verification import digest_of
from bench.translation.data.assembly import Assembly, Progress
from bench.translation.data.corpus import PairSplit, ParallelCorpus, Splits
from bench.translation.data.listing import Found, find_files, read_split, with_languages
from bench.translation.data.pairs import ReadPairs
from bench.translation.data.problems import Problem, settle
from bench.translation.data.specification import (
    PARTS,
    ParallelSpec,
    Segments,
    SyntheticTranslationSpec,
)
from bench.translation.data.synthetic import draw
from bench.translation.metrics.translation import BleuProtocol


def prepare_parallel(
    spec: ParallelSpec | SyntheticTranslationSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    segmentation: str | None = None,
    languages: str | None = None,
    on_bad: OnBad = "refuse",
    download: Download = "never",
    fetching: Fetching | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> ParallelCorpus:
    """Find, check, cut and number a card's corpus; further tests only when they are asked for.

    `segmentation`: one of the card's, the first when not given. `languages`: of a user's own
    text, such as en-fr. Raises BenchError for a corpus that is missing or not the card's, and,
    unless told to skip them, for bad pairs, in one line that names and counts them.
    """
    cache = cache or cache_folder()
    name, segments = _segments(spec.segmentations, segmentation, task)
    if isinstance(spec, SyntheticTranslationSpec):
        if path is not None or languages is not None:
            raise BenchError(f"{task} is generated: leave out --data.path and --data.languages")
        return draw(spec, name=name, segments=segments, cache=cache)
    spec = with_languages(spec, languages, task=task)
    found = find_files(spec, task=task, twin=twin, path=path, download=download, progress=fetching)
    read, problems = _read(found, on_bad, task)
    assembly = Assembly(
        spec.tokenisation,
        (spec.source_language, spec.target_language),
        segments,
        cache=cache,
        num_lines=2 * sum(map(len, read.values())),
        progress=progress,
    )
    assembly.learn(read["train"].parts)
    further = {
        split: partial(_further, found, split, assembly, on_bad=on_bad, task=task)
        for split in found.splits
        if split not in PARTS
    }
    files = {path.name: digest_of(path, "sha256") for path in found.paths_of(*PARTS)}
    return ParallelCorpus(
        source=assembly.source,
        target=assembly.target,
        splits=Splits({split: assembly.split(read[split].parts) for split in PARTS}, further),
        checksums={**files, **assembly.checksums()},
        bleu=bleu_protocol(spec, assembly),
        segmentation=name,
        skipped=problems,
    )


def bleu_protocol(spec: ParallelSpec, assembly: Assembly) -> BleuProtocol:
    """Which BLEU decides on the task."""
    if spec.bleu == "detokenised":
        return BleuProtocol(text="detokenised")
    return BleuProtocol(
        text="tokenised",
        case="lower" if spec.tokenisation.case == "lower" else "mixed",
        tokeniser=assembly.tokenisers[1].name,
    )


def _read(
    found: Found, on_bad: OnBad, task: str
) -> tuple[dict[str, ReadPairs], tuple[Problem, ...]]:
    """Train, valid and test, and what is bad in them."""
    read = {split: read_split(found, split) for split in PARTS}
    problems = tuple(problem for part in read.values() for problem in part.problems)
    settle(problems, on_bad, task=task)
    for split, part in read.items():
        _check_not_empty(part, split, task)
    return read, problems


def _further(
    found: Found, split: str, assembly: Assembly, *, on_bad: OnBad, task: str
) -> PairSplit:
    read = read_split(found, split)
    settle(read.problems, on_bad, task=task)
    _check_not_empty(read, split, task)
    return assembly.split(read.parts)


def _check_not_empty(read: ReadPairs, split: str, task: str) -> None:
    if not len(read):
        raise BenchError(f"{task}: no usable pair is left in the {split} split")


def _segments(known: Mapping[str, Segments], name: str | None, task: str) -> tuple[str, Segments]:
    name = name or next(iter(known))
    if name not in known:
        raise BenchError(f"{task} has no segmentation {name!r}, {nearest(name, known)}")
    return name, known[name]
