"""Corpora of translation cards: found, checked, cut and numbered, or generated.

find_files -> read_split -> CorpusBuilder -> ParallelCorpus
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError, nearest
from bench.data.files import all_have_digests, digest_of
from bench.data.identity import file_sha256
from bench.data.lines import Lines
from bench.data.problems import (
    OnBad,
    Progress,
    Style,
    check_problems,
    count_kinds,
    default_style,
    progress_bar,
    report_skipped,
)
from bench.data.random import draws
from bench.data.rows import Rows
from bench.data.sources import (
    Download,
    DownloadProgress,
    cache_folder,
    own_folder,
    print_status,
)
from bench.data.tokens import UNKNOWN
from bench.translation.data.builder import CorpusBuilder
from bench.translation.data.corpus import (
    Pairs,
    PairSplit,
    ParallelCorpus,
    Problem,
    ReadPairs,
    Splits,
)
from bench.translation.data.grammar import Grammar, make_grammar
from bench.translation.data.listing import CorpusFiles, find_files, read_split, with_languages
from bench.translation.data.segmentation import Segmenter
from bench.translation.data.specification import (
    PARTS,
    ParallelSpec,
    Segments,
    SyntheticTranslationSpec,
    TokenisationSpec,
)
from bench.translation.metrics import BleuProtocol, count_sentences

TRIES_PER_SENTENCE = 20
"""Draws for each new sentence, on average, before a grammar counts as too small."""
LOW_CEILING = 99.0
"""BLEU of references after segmentation below which `bench data` warns."""
NUM_LISTED = 50
"""Bad pairs that `inspect` lists by name."""


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> ParallelCorpus:
    """Load the corpus of a card; see `prepare`."""
    with progress_bar(f"words of {card.task}", style) as report:
        corpus = prepare(card, data, fetching=progress, progress=report)
    report_skipped(corpus.skipped, task=card.task, thing="pair", style=style)
    return corpus


def prepare(
    card: Card,
    data: DataConfig,
    *,
    fetching: DownloadProgress | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> ParallelCorpus:
    """Find or generate a corpus, check it and turn it into ids; further tests at their first use.

    Raises BenchError for a corpus that is missing or not the card's, and, unless `data` says to
    skip them, for bad pairs, in one line that names and counts them.
    """
    spec, task, cache = card.corpus, card.task, cache or cache_folder()
    assert isinstance(spec, ParallelSpec | SyntheticTranslationSpec)
    name = data.segmentation or next(iter(spec.segmentations))
    if name not in spec.segmentations:
        raise BenchError(
            f"{task} has no segmentation {name!r}, {nearest(name, spec.segmentations)}"
        )
    segments = spec.segmentations[name]
    if isinstance(spec, SyntheticTranslationSpec):
        if data.path is not None or data.languages is not None:
            raise BenchError(f"{task} is generated: leave out --data.path and --data.languages")
        return generate(spec, name=name, segments=segments, cache=cache)
    files = find_files(card, data, progress=fetching)
    read = _read(files, PARTS, data.on_bad, task)
    builder = CorpusBuilder(
        spec.tokenisation,
        (files.spec.source_language, files.spec.target_language),
        segments,
        cache=cache,
        num_lines=2 * sum(map(len, read.values())),
        progress=progress,
    )
    builder.learn(read["train"].parts)

    def read_further(split: str) -> PairSplit:
        return builder.split(_read(files, [split], data.on_bad, task)[split].parts)

    further = {split: partial(read_further, split) for split in files.splits if split not in PARTS}
    if spec.files:
        digests = {path.name: digest_of(path, "sha256") for path in files.paths_of(*PARTS)}
    else:
        digests = {p.name.removesuffix(".gz"): file_sha256(p) for p in files.paths_of(*PARTS)}
    return ParallelCorpus(
        source=builder.source,
        target=builder.target,
        splits=Splits({split: builder.split(read[split].parts) for split in PARTS}, further),
        checksums={**digests, **builder.checksums()},
        bleu=_bleu_protocol(spec, builder),
        segmentation=name,
        skipped=tuple(problem for part in read.values() for problem in part.problems),
        distinctions={} if spec.files else {"pair": _pair(files.spec)},
    )


def _read(
    files: CorpusFiles, splits: Sequence[str], on_bad: OnBad, task: str
) -> dict[str, ReadPairs]:
    """Read some splits; BenchError for bad pairs unless they are skipped, and for no pairs."""
    read = {split: read_split(files, split) for split in splits}
    problems = [problem for part in read.values() for problem in part.problems]
    check_problems(problems, on_bad, task=task, thing="pair")
    for split, part in read.items():
        if not len(part):
            kinds = count_kinds(part.problems)
            counted = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
            why = f" ({counted}; the first: {part.problems[0]})" if part.problems else ""
            raise BenchError(f"{task}: no usable pair is left in the {split} split{why}")
    return read


def _pair(spec: ParallelSpec) -> str:
    return f"{spec.source_language}-{spec.target_language}"


def _bleu_protocol(spec: ParallelSpec, builder: CorpusBuilder) -> BleuProtocol:
    if spec.bleu == "detokenised":
        return BleuProtocol(text="detokenised")
    return BleuProtocol(
        text="tokenised",
        case="lower" if spec.tokenisation.case == "lower" else "mixed",
        tokeniser=builder.tokenisers[1].name,
    )


# Generated text ---------------------------------------------------------------------------------


def generate(
    spec: SyntheticTranslationSpec, *, name: str, segments: Segments, cache: Path
) -> ParallelCorpus:
    """Generate a card's corpus, the same on every machine, in the segmentation called `name`.

    No sentence stands twice, and a perfect system scores BLEU 100.
    """
    grammar = make_grammar(spec)
    pairs = draw_pairs(grammar)
    builder = CorpusBuilder(TokenisationSpec(words="blanks"), ("src", "tgt"), segments, cache=cache)
    builder.learn([pairs["train"]], known=(grammar.source_words(), grammar.target_words()))
    checksums = {
        f"{split} {side}": getattr(part, side).sha256()
        for split, part in pairs.items()
        for side in ("source", "target")
    }
    return ParallelCorpus(
        source=builder.source,
        target=builder.target,
        splits=Splits({split: builder.split([part]) for split, part in pairs.items()}, {}),
        checksums={**checksums, **builder.checksums()},
        bleu=BleuProtocol(text="tokenised", tokeniser="blanks"),
        segmentation=name,
        bound=dict.fromkeys(("valid", "test"), 100.0),
    )


def draw_pairs(grammar: Grammar) -> dict[str, Pairs]:
    """Draw sentences and translations: test first, training without the sentences of both others.

    Raises BenchError for a grammar that has too few sentences.
    """
    spec = grammar.spec
    sizes = dict(zip(PARTS, (spec.num_train, spec.num_valid, spec.num_test), strict=True))
    seen: set[str] = set()
    pairs = {}
    for split in reversed(PARTS):
        stream = np.random.PCG64(spec.seed).jumped(1 + PARTS.index(split))
        number, found = draws(stream).__next__, dict[str, str]()
        for _ in range(TRIES_PER_SENTENCE * sizes[split]):
            sentence = grammar.sentence(number)
            source = " ".join(grammar.source(sentence))
            if source not in seen:
                seen.add(source)
                found[source] = " ".join(grammar.target(sentence))
            if len(found) == sizes[split]:
                break
        else:
            raise BenchError(
                f"the grammar has too few different sentences for {sizes[split]:,} in {split}: "
                "raise num_nouns or lower num_train"
            )
        pairs[split] = Pairs(source=Lines.of(found), target=Lines.of(found.values()))
    return {split: pairs[split] for split in PARTS}


# `bench data` -----------------------------------------------------------------------------------


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print splits, bad pairs and vocabularies of a card's corpus."""
    print_status(card, data)
    checked = "generated"
    if isinstance(card.corpus, ParallelSpec):
        checked = "verified" if all_have_digests(card.corpus) else "counted"
        download: Download = "missing" if fetch else "never"
        of_files = msgspec.structs.replace(data, download=download)
        folder = own_folder(card.task, data)
        spec = with_languages(card.corpus, data.languages, task=card.task, folder=folder)
        _inspect_files(card, spec.splits or PARTS, of_files, progress=progress)
    corpus = load(card, data, style=default_style(), progress=progress)
    for name in PARTS:
        split = corpus.splits[name]
        sides = ((corpus.source, split.source), (corpus.target, split.target))
        source, target = (_num_tokens(segmenter, rows) for segmenter, rows in sides)
        print(f"{name}: source {source}; target {target}")
    highest = ceiling(corpus)
    print(f"ceiling: the test references score {highest:.2f} after segmentation")
    if highest < LOW_CEILING:
        print(
            f"warning: no system scores above {highest:.1f} in segmentation {corpus.segmentation}, "
            "which does not give the text back: choose another with --data.segmentation"
        )

    symbols = (len(corpus.source.symbols), len(corpus.target.symbols))
    print(
        f"{card.task}: {checked}; segmentation {corpus.segmentation}: {symbols[0]:,} source and "
        f"{symbols[1]:,} target symbols; metric {corpus.bleu.signature}"
    )


def ceiling(corpus: ParallelCorpus) -> float:
    """BLEU of the test references, segmented and put together again; 100 where nothing is lost.

    Unknown words count as known: this is the segmentation's own loss.
    """
    split, target = corpus.splits["test"], corpus.target
    pieces = [target.pieces(text) for text in split.target_text]
    if corpus.bleu.text == "tokenised":
        found, references = map(target.tokenise_pieces, pieces), split.target_words
    else:
        found, references = map(target.decode_pieces, pieces), split.target_text
    return count_sentences(list(found), list(references), protocol=corpus.bleu).value


def _inspect_files(
    card: Card, splits: Iterable[str], data: DataConfig, *, progress: DownloadProgress | None
) -> None:
    """Print pairs and bad pairs of each split that is there.

    Raises BenchError, at the end, for a missing train, valid or test, and for bad pairs.
    """
    problems: list[Problem] = []
    missing: list[BenchError] = []
    for split in splits:
        try:
            files = find_files(card, data, needed=(split,), progress=progress)
        except BenchError as error:
            missing += [error] if split in PARTS else []
            print(f"{split}: missing")
            continue
        read = read_split(files, split)
        bad = ", ".join(f"{number:,} {kind}" for kind, number in count_kinds(read.problems).items())
        print(f"{split}: {len(read):,} pairs" + (f"; bad: {bad}" if bad else ""))
        problems += read.problems
    for problem in problems[:NUM_LISTED]:
        print(problem)
    if len(problems) > NUM_LISTED:
        print(f"and {len(problems) - NUM_LISTED:,} more")
    if missing:
        raise missing[0]
    check_problems(problems, "refuse", task=card.task, thing="pair")


def _num_tokens(segmenter: Segmenter, rows: Rows) -> str:
    counts_V = rows.counts(len(segmenter.symbols))
    unknown = f", {100 * counts_V[UNKNOWN] / counts_V.sum():.2f}% unknown"
    return f"{int(counts_V.sum()):,} tokens" + (unknown if counts_V[UNKNOWN] else "")
