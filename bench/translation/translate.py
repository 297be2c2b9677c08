"""What `bench translate` and `bench rescore` do, from the names of runs to lines and files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Protocol

import msgspec
import numpy as np

from bench.core.errors import BenchError
from bench.core.figures import new_figure, save_figure
from bench.core.suite import Suite
from bench.runs.ensembles import Device
from bench.text.outputs import Floats
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.evaluation import Wishes, find_translators, make_translator
from bench.translation.metrics import beside_bleu, count_sentences
from bench.translation.rescoring import Candidate, read_candidates, rescore
from bench.translation.translator import Translation

# Lines in, translations out: plain, as n-best lists of Moses, or as JSON.
#
#     text    one line for each line of the input     moses   0 ||| plain translation ||| log_prob=
# log-probability ||| score        `num_best` a line     json    {"sentence": 0, "rank": 1, "text":
# ..., "tokenised": ..., "log_prob": ..., "score": ...}
#
# Sentences are counted from 0. A line without words has an empty translation, so that line numbers
# of input and output agree.


Form = Literal["text", "moses", "json"]
CHUNK_LINES = 2000
"""Read and translated at once; it changes no translation."""


class Translated(Protocol):
    """One translation of a line."""

    @property
    def text(self) -> str:
        """Plain."""
        ...

    @property
    def tokenised(self) -> str:
        """Words between blanks."""
        ...

    @property
    def log_prob(self) -> float:
        """Natural, of the tokens and the end."""
        ...

    @property
    def score(self) -> float:
        """The same after the length penalty."""
        ...


class Translating(Protocol):
    """Whatever translates lines."""

    def translate(self, lines: Sequence[str], *, num_best: int = 1) -> Sequence[Sequence[Any]]:
        """The best translations of each line, best first."""
        ...


def decoded(file: IO[bytes], name: str) -> Iterator[str]:
    """The lines of a file in UTF-8 without their ends; BenchError naming a line that is not."""
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise BenchError(
                f"{name}, line {number}: not UTF-8 (byte {error.start + 1}); convert it first"
            ) from None


def translated(
    lines: Iterator[str], translator: Translating, *, num_best: int
) -> Iterator[tuple[str, Sequence[Any]]]:
    """Each line with its translations, best first; an empty list where it has no words."""
    while chunk := list(islice(lines, CHUNK_LINES)):
        worded = [line for line in chunk if line.strip()]
        found = iter(translator.translate(worded, num_best=num_best) if worded else [])
        for line in chunk:
            yield line, next(found) if line.strip() else []


def written(place: int, found: Sequence[Translated], form: Form) -> Iterator[str]:
    """The output lines of the input line at `place`."""
    if form == "text":
        yield found[0].text if found else ""
    for rank, one in enumerate(found, start=1):
        if form == "moses":
            yield Candidate(
                sentence=place,
                text=one.text,
                features=f"log_prob= {one.log_prob:.6f}",
                score=one.score,
            ).line()
        elif form == "json":
            line = {
                "sentence": place,
                "rank": rank,
                "text": one.text,
                "tokenised": one.tokenised,
                "log_prob": round(one.log_prob, 6),
                "score": round(one.score, 6),
            }
            yield msgspec.json.encode(line).decode()


# Translations against a reference that a user names.


def read_text(path: Path, option: str) -> list[str]:
    """The lines of a plain file that an option names; BenchError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return list(decoded(file, str(path)))
    except OSError as error:
        raise BenchError(f"{option} {path}: cannot read it ({error.strerror})") from None


def scores(
    texts: Sequence[str],
    references: Sequence[str],
    *,
    corpus: ParallelCorpus,
    unknown: Literal["never", "aligned"] = "never",
    words: Sequence[str] | None = None,
) -> dict[str, float]:
    """Signature -> value in percent of plain translations, as a run of the corpus is scored.

    `words`: the same with their words between blanks; cut as the task does unless given.
    """
    if len(texts) != len(references):
        raise BenchError(
            f"{len(texts):,} translations and {len(references):,} references: give one reference "
            "a line"
        )
    protocol = replace(corpus.bleu, unknown=unknown)

    def cut(lines: Sequence[str]) -> list[str]:
        return [" ".join(corpus.target.tokens(line)) for line in lines]

    if protocol.text == "tokenised":
        hypotheses, truth = words if words is not None else cut(texts), cut(references)
    else:
        hypotheses, truth = texts, list(references)
    counts = count_sentences(hypotheses, truth, protocol=protocol)
    suffix = f"|unknown:{unknown}" if unknown != "never" else ""
    beside = {f"{key}{suffix}": value for key, value in beside_bleu(texts, references).items()}
    return {protocol.signature: counts.value, **beside}


# What the words of a translation looked at: as JSON lines, and as heat maps.
#
#     {"sentence": 0, "source": ["ein", "Hund", "</s>"], "target": [...], "attention": [[...], ...]}
#
# `attention` has a line for each target symbol and a column for each source symbol, both with their
# ends; a line sums to 1. Pictures are those of Bahdanau, Cho and Bengio (2015), figure 3.
#
# Shapes: T target symbols, S source symbols.


END = "</s>"


class Alignment(NamedTuple):
    """Attention's weights [T, S] between the symbols of a sentence and of its translation."""

    source: Sequence[str]
    target: Sequence[str]
    weights: Floats


def as_json(sentence: int, alignment: Alignment) -> str:
    """One line of the file; weights with five decimals."""
    line = {
        "sentence": sentence,
        "source": list(alignment.source),
        "target": list(alignment.target),
        "attention": [[round(float(w), 5) for w in row] for row in alignment.weights],
    }
    return msgspec.json.encode(line).decode()


def draw_alignment(alignment: Alignment, path: Path) -> None:
    """Draw the weights in grey: the source above, the translation beside, white is 1."""
    height, width = alignment.weights.shape
    figure, [[axes]] = new_figure(width=1.2 + 0.26 * width, height=1.2 + 0.26 * height)
    axes.imshow(np.asarray(alignment.weights), cmap="gray", vmin=0.0, vmax=1.0)
    axes.grid(visible=False)
    axes.xaxis.tick_top()
    axes.set_xticks(range(width), [_shown(s) for s in alignment.source], fontsize=8, rotation=90)
    axes.set_yticks(range(height), [_shown(s) for s in alignment.target], fontsize=8)
    axes.tick_params(length=0)
    save_figure(figure, path)


def _shown(symbol: str) -> str:
    """A dollar sign would begin a formula."""
    return symbol.replace("$", r"\$")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to come out beside the translations."""

    form: Form = "text"
    num_best: int = 1
    attention: Path | None = None
    """File for the weights, as JSON lines."""
    heat_maps: Path | None = None
    """Folder for a picture a sentence."""
    reference: Path | None = None

    def __post_init__(self) -> None:
        if self.num_best < 1:
            raise BenchError(f"--num-best {self.num_best}: give 1 or more")
        if self.num_best > 1 and self.form == "text":
            raise BenchError(
                "--format text has one line a sentence: several best are moses or json"
            )
        if self.heat_maps is not None and self.heat_maps.is_file():
            raise BenchError(f"--heat-maps {self.heat_maps}: is a file, name a folder")


def translate_lines(
    suite: Suite,
    names: Sequence[str],
    source: IO[bytes],
    wishes: Wishes,
    wanted: Wanted,
    *,
    device: Device = "cpu",
) -> Iterator[str]:
    """The output lines, as they are made; scores against a reference go to stderr at the end."""
    references = read_text(wanted.reference, "--reference") if wanted.reference else None
    translator, corpus = make_translator(find_translators(suite, names), wishes, device=device)
    if wanted.num_best > translator.search.beam_size:
        raise BenchError(
            f"--num-best {wanted.num_best}: a beam of {translator.search.beam_size} finds no more "
            f"than {translator.search.beam_size}, give --beam {wanted.num_best}"
        )
    found: list[tuple[str, str]] = []
    with _Attention(corpus, wanted) as attention:
        lines = translated(decoded(source, "input"), translator, num_best=wanted.num_best)
        for place, (line, best) in enumerate(lines):
            attention.take(place, line, best)
            yield from written(place, best, wanted.form)
            found.append((best[0].text, best[0].tokenised) if best else ("", ""))
    if references is not None:
        texts, words = ([pair[side] for pair in found] for side in (0, 1))
        unknown = translator.replace_unknown
        _say(scores(texts, references, corpus=corpus, unknown=unknown, words=words))


def rescored_lines(
    suite: Suite,
    names: Sequence[str],
    candidates: IO[bytes],
    *,
    source: Path,
    weights: dict[str, float],
    form: Form,
    reference: Path | None = None,
    device: Device = "cpu",
) -> Iterator[str]:
    """The lists in their new order, or the first of each; scores go to stderr at the end."""
    sources = read_text(source, "--source")
    references = read_text(reference, "--reference") if reference else None
    runs = find_translators(suite, names)
    listed = list(
        read_candidates(decoded(candidates, "input"), name="input", num_sentences=len(sources))
    )
    translator, corpus = make_translator(runs, Wishes(beam_size=1), device=device)
    lists = rescore(listed, sources, weights=weights, scorer=translator.score)
    for found in lists:
        if form == "text":
            yield found[0].text if found else ""
        else:
            yield from (candidate.line() for candidate in found)
    if references is not None:
        texts = [found[0].text if found else "" for found in lists]
        _say(scores(texts, references, corpus=corpus))


class _Attention:
    """Writes what the best translation of each sentence looked at, where that is wanted."""

    def __init__(self, corpus: ParallelCorpus, wanted: Wanted) -> None:
        self.corpus, self.wanted = corpus, wanted
        self.file: IO[str] | None = None

    def __enter__(self) -> _Attention:
        if self.wanted.attention is not None:
            try:
                self.file = self.wanted.attention.open("w", encoding="utf-8")
            except OSError as error:
                raise BenchError(
                    f"--attention {self.wanted.attention}: cannot write there ({error.strerror})"
                ) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def take(self, place: int, line: str, best: Sequence[Translation]) -> None:
        """Write the weights of a sentence; one without words has none."""
        folder = self.wanted.heat_maps
        if not best or (self.file is None and folder is None):
            return
        alignment = self._alignment(line, best[0])
        if self.file is not None:
            print(as_json(place, alignment), file=self.file)
        if folder is not None:
            draw_alignment(alignment, folder / f"sentence-{place}.png")

    def _alignment(self, line: str, best: Translation) -> Alignment:
        if best.attention_TS is None:
            raise BenchError("these runs have no attention to show: leave it out")
        symbols = self.corpus.target.symbols
        return Alignment(
            source=[*self.corpus.source.pieces(line), END],
            target=[*(symbols[token] for token in best.tokens), END],
            weights=np.asarray(best.attention_TS.double().numpy()),
        )


def _say(found: dict[str, Any]) -> None:
    for signature, value in found.items():
        print(f"{signature} = {value:.2f}", file=sys.stderr)
