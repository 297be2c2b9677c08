"""From a card to what an objective reads: pairs of sentences by split, as text and as ids.

find_files -> read_split -> Assembly -> ParallelCorpus        or a grammar, where nothing is read
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError, nearest
from bench.data.files import all_have_digests, digest_of
from bench.data.lines import Lines
from bench.data.problems import (
    OnBad,
    Progress,
    Style,
    count_kinds,
    default_style,
    progress_bar,
    report_skipped,
)
from bench.data.random import draws
from bench.data.rows import Rows
from bench.data.sources import Download, DownloadProgress, cache_folder, print_status
from bench.data.tokens import UNKNOWN
from bench.translation.data.corpus import (
    Pairs,
    PairSplit,
    ParallelCorpus,
    Problem,
    ReadPairs,
    Splits,
    check_problems,
)
from bench.translation.data.grammar import Grammar, make_grammar
from bench.translation.data.listing import Found, find_files, read_split, with_languages
from bench.translation.data.segmentation import Form, Segmenter, Tokeniser, Words, learn_words
from bench.translation.data.specification import (
    PARTS,
    ParallelSpec,
    Segments,
    SyntheticTranslationSpec,
    TokenisationSpec,
    WordSegments,
)
from bench.translation.data.subwords import Subwords, flattened, kept, learn_subwords
from bench.translation.metrics import BleuProtocol

# Pairs of lines become a corpus: words are cut, segmenters learned on training text, ids made.
#
# Pairs -> words (cached) -> segmenters of both sides (training text only) -> PairSplit


Both = tuple[Lines, Lines]
REPORT_LINES = 1000


class Assembly:
    """Makes the splits of one corpus.

    `learn` comes first. `progress` is told how many of `num_lines` are cut into words, and
    nothing of what the cache holds already.
    """

    def __init__(
        self,
        tokenisation: TokenisationSpec,
        languages: tuple[str, str],
        segments: Segments,
        *,
        cache: Path,
        num_lines: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self.tokenisers = tuple(Tokeniser(tokenisation, language) for language in languages)
        self.segments, self.cache = segments, cache
        self.num_lines, self.num_cut, self.progress = num_lines, 0, progress
        self.segmenters: tuple[Words, Words] | tuple[Subwords, Subwords] | None = None

    @property
    def source(self) -> Segmenter:
        """Of the source's side."""
        assert self.segmenters is not None
        return self.segmenters[0]

    @property
    def target(self) -> Segmenter:
        """Of the target's side."""
        assert self.segmenters is not None
        return self.segmenters[1]

    def learn(
        self, train: Sequence[Pairs], known: tuple[Sequence[str], Sequence[str]] = ((), ())
    ) -> None:
        """Learn both vocabularies; `known` words are part of them whatever the text holds."""
        segments, (first, second) = self.segments, self.tokenisers
        words = self._words(train)
        if isinstance(segments, WordSegments):
            least = segments.minimum_count
            self.segmenters = (
                learn_words(first, words[0], segments.num_source, least, known=known[0]),
                learn_words(second, words[1], segments.num_target, least, known=known[1]),
            )
            return
        if segments.text == "plain":
            plain = joined(train)
            words = (Lines.of(map(flattened, plain[0])), Lines.of(map(flattened, plain[1])))
        self.segmenters = learn_subwords(segments, (first, second), words, cache=self.cache)

    def split(self, pairs: Sequence[Pairs]) -> PairSplit:
        """Pairs as text, words and ids."""
        text, words = joined(pairs), self._words(pairs)
        return PairSplit(
            source_text=text[0],
            target_text=text[1],
            source_words=words[0],
            target_words=words[1],
            source=self.source.encode_lines(text[0], words[0]),
            target=self.target.encode_lines(text[1], words[1]),
        )

    def checksums(self) -> dict[str, str]:
        """sha256 of both vocabularies."""
        assert self.segmenters is not None
        first, second = self.segmenters
        return {"source vocabulary": first.sha256(), "target vocabulary": second.sha256()}

    def _words(self, pairs: Sequence[Pairs]) -> Both:
        first, second = self.tokenisers
        return (
            Lines.joined([self._cut(first, part.source, part.form) for part in pairs]),
            Lines.joined([self._cut(second, part.target, part.form) for part in pairs]),
        )

    def _cut(self, tokeniser: Tokeniser, lines: Lines, form: Form) -> Lines:
        """Each line's words between blanks; what Moses' rules cut is kept in the cache."""

        def make() -> bytes:
            return Lines.of(self._cut_lines(tokeniser, lines, form)).content

        if tokeniser.spec.words == "blanks" or form == "words":
            return Lines.split(make())
        recipe = {"what": "words", **tokeniser.recipe, "lines": lines.sha256()}
        return Lines.split(kept(self.cache, recipe, make))

    def _cut_lines(self, tokeniser: Tokeniser, lines: Lines, form: Form) -> list[str]:
        found = []
        for number, line in enumerate(lines, start=1):
            found.append(" ".join(tokeniser.words(line, form=form)))
            if self.progress and (number % REPORT_LINES == 0 or number == len(lines)):
                self.progress(self.num_cut + number, max(self.num_lines, self.num_cut + number))
        self.num_cut += len(lines)
        return found


def joined(pairs: Sequence[Pairs]) -> Both:
    """The lines of all parts, source and target."""
    return Lines.joined([p.source for p in pairs]), Lines.joined([p.target for p in pairs])


# Generated parallel text: no sentence stands twice, and a perfect system scores BLEU 100.


TRIES_EACH = 20
"""Sentences that are drawn for each new one, on the whole, before a grammar counts as too small."""


def draw(
    spec: SyntheticTranslationSpec, *, name: str, segments: Segments, cache: Path
) -> ParallelCorpus:
    """The corpus of a card, the same wherever it is drawn; `segments` go by `name` there."""
    grammar = make_grammar(spec)
    pairs = draw_pairs(grammar)
    assembly = Assembly(TokenisationSpec(words="blanks"), ("src", "tgt"), segments, cache=cache)
    assembly.learn([pairs["train"]], known=(grammar.source_words(), grammar.target_words()))
    return ParallelCorpus(
        source=assembly.source,
        target=assembly.target,
        splits=Splits({split: assembly.split([part]) for split, part in pairs.items()}, {}),
        checksums={
            f"{split} {side}": getattr(part, side).sha256()
            for split, part in pairs.items()
            for side in ("source", "target")
        }
        | assembly.checksums(),
        bleu=BleuProtocol(text="tokenised", tokeniser="blanks"),
        segmentation=name,
        bound=dict.fromkeys(("valid", "test"), 100.0),
    )


def draw_pairs(grammar: Grammar) -> dict[str, Pairs]:
    """Sentences and translations by split; test is drawn first, and training without both others'.

    Raises BenchError for a grammar that has too few sentences.
    """
    spec = grammar.spec
    sizes = dict(zip(PARTS, (spec.num_train, spec.num_valid, spec.num_test), strict=True))
    seen: set[str] = set()
    found = {}
    for split in reversed(PARTS):
        stream = np.random.PCG64(spec.seed).jumped(1 + PARTS.index(split))
        number = draws(stream).__next__
        sources: list[str] = []
        targets: list[str] = []
        for _ in range(TRIES_EACH * sizes[split]):
            sentence = grammar.sentence(number)
            source = " ".join(grammar.source(sentence))
            if source not in seen:
                seen.add(source)
                sources.append(source)
                targets.append(" ".join(grammar.target(sentence)))
            if len(sources) == sizes[split]:
                break
        else:
            raise BenchError(
                f"the grammar has too few different sentences for {sizes[split]:,} in {split}: "
                "raise num_nouns or lower num_train"
            )
        found[split] = Pairs(source=Lines.of(sources), target=Lines.of(targets))
    return {split: found[split] for split in PARTS}


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
    fetching: DownloadProgress | None = None,
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
    check_problems(problems, on_bad, task=task)
    for split, part in read.items():
        _check_not_empty(part, split, task)
    return read, problems


def _further(
    found: Found, split: str, assembly: Assembly, *, on_bad: OnBad, task: str
) -> PairSplit:
    read = read_split(found, split)
    check_problems(read.problems, on_bad, task=task)
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


# What `bench data` says of parallel text: splits that are there, what is bad, vocabularies.


NUM_LISTED = 50


def report_files(
    spec: ParallelSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    languages: str | None = None,
    download: Download = "never",
    fetching: DownloadProgress | None = None,
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
        bad = ", ".join(f"{number:,} {kind}" for kind, number in count_kinds(read.problems).items())
        print(f"{split}: {len(read):,} pairs" + (f"; bad: {bad}" if bad else ""))
        problems += read.problems
    for problem in problems[:NUM_LISTED]:
        print(problem)
    if len(problems) > NUM_LISTED:
        print(f"and {len(problems) - NUM_LISTED:,} more")
    if missing:
        raise missing[0]
    check_problems(problems, "refuse", task=task)


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


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> ParallelCorpus:
    """Corpus of a card in its segmentation; see `prepare_parallel`."""
    assert isinstance(card.corpus, ParallelSpec | SyntheticTranslationSpec)
    with progress_bar(f"words of {card.task}", style) as report:
        corpus = prepare_parallel(
            card.corpus,
            task=card.task,
            twin=card.twin,
            path=Path(data.path) if data.path else None,
            segmentation=data.segmentation,
            languages=data.languages,
            on_bad=data.on_bad,
            download=data.download,
            fetching=progress,
            progress=report,
        )
    report_skipped(corpus.skipped, task=card.task, thing="pair", style=style)
    return corpus


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print the files, the splits and what is bad in them, then the vocabularies."""
    spec, path = card.corpus, Path(data.path) if data.path else None
    print_status(card, data.path)
    checked = "generated"
    if isinstance(spec, ParallelSpec):
        checked = "verified" if all_have_digests(spec) else "counted"
        report_files(
            spec,
            task=card.task,
            twin=card.twin,
            path=path,
            languages=data.languages,
            download="missing" if fetch else "never",
            fetching=progress,
        )
    corpus = load(card, data, style=default_style(), progress=progress)
    report_symbols(corpus, task=card.task, checked=checked)
