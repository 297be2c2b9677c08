"""Carries out `bench translate` and `bench rescore`: lines of text in, lines and files out.

    text    a line for each line of the input
    moses   0 ||| plain translation ||| log_prob= -3.2 ||| -0.8     `num_best` for each line
    json    {"sentence": 0, "rank": 1, "text": ..., "tokenised": ..., "log_prob": ..., "score": ...}

Sentences are counted from 0. A line without words has an empty translation, so that line numbers of
input and output agree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Literal, NamedTuple

import msgspec
import numpy as np

from bench.core.errors import BenchError
from bench.core.figures import new_figure, save_figure
from bench.core.suite import Suite
from bench.data.decoding import decode_lines
from bench.data.tokens import END, SPECIAL
from bench.runs.ensembles import Device
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.evaluation import TranslationOverrides, find_translators, make_translator
from bench.translation.metrics import Floats, ReplaceUnknown, beside_bleu, count_sentences
from bench.translation.rescoring import Candidate, read_candidates, rescore
from bench.translation.scoring import Translation
from bench.translation.translator import Translator

Format = Literal["text", "moses", "json"]
CHUNK_LINES = 2000
"""Lines that are read and translated at once; the number changes no translation."""


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Format of the translations, and further outputs."""

    format: Format = "text"
    num_best: int = 1
    attention: Path | None = None
    """File for attention's weights, as JSON lines."""
    heat_maps: Path | None = None
    """Folder for a picture of the weights for each sentence."""
    reference: Path | None = None
    """File of reference translations to score against."""

    def __post_init__(self) -> None:
        if self.num_best < 1:
            raise BenchError(f"--num-best {self.num_best}: give 1 or more")
        if self.num_best > 1 and self.format == "text":
            raise BenchError(
                "--format text has one line a sentence: several best are moses or json"
            )
        if self.heat_maps is not None and self.heat_maps.is_file():
            raise BenchError(f"--heat-maps {self.heat_maps}: is a file, name a folder")


def translate_lines(
    suite: Suite,
    names: Sequence[str],
    source: IO[bytes],
    overrides: TranslationOverrides,
    output: OutputOptions,
    *,
    device: Device = "cpu",
) -> Iterator[str]:
    """Yield the output lines as they are made; scores against a reference go to stderr."""
    references = read_text(output.reference, "--reference") if output.reference else None
    translator = make_translator(find_translators(suite, names), overrides, device=device)
    if output.num_best > translator.search.beam_size:
        raise BenchError(
            f"--num-best {output.num_best}: a beam of {translator.search.beam_size} finds no more "
            f"than {translator.search.beam_size}, give --beam {output.num_best}"
        )
    corpus = translator.corpus
    texts, words = list[str](), list[str]()
    with ExitStack() as stack:
        file = _open_attention(output.attention, stack)
        lines = translated(decode_lines(source, "input"), translator, num_best=output.num_best)
        for place, (line, best) in enumerate(lines):
            if best and (file is not None or output.heat_maps is not None):
                _write_alignment(place, alignment_of(line, best[0], corpus), file, output.heat_maps)
            yield from formatted(place, best, output.format)
            texts.append(best[0].text if best else "")
            words.append(best[0].tokenised if best else "")
    if references is not None:
        unknown = translator.replace_unknown
        _print_scores(scores(texts, references, corpus=corpus, unknown=unknown, words=words))


def rescored_lines(
    suite: Suite,
    names: Sequence[str],
    candidates: IO[bytes],
    *,
    source: Path,
    weights: dict[str, float],
    format: Format,
    reference: Path | None = None,
    device: Device = "cpu",
) -> Iterator[str]:
    """Yield the lists in their new order, or the first of each; scores go to stderr."""
    sources = read_text(source, "--source")
    references = read_text(reference, "--reference") if reference else None
    runs = find_translators(suite, names)
    listed = list(
        read_candidates(decode_lines(candidates, "input"), name="input", num_sentences=len(sources))
    )
    translator = make_translator(runs, TranslationOverrides(beam_size=1), device=device)
    lists = rescore(listed, sources, weights=weights, scorer=translator.score)
    for found in lists:
        if format == "text":
            yield found[0].text if found else ""
        else:
            yield from (candidate.line() for candidate in found)
    if references is not None:
        texts = [found[0].text if found else "" for found in lists]
        _print_scores(scores(texts, references, corpus=translator.corpus))


# Lines ------------------------------------------------------------------------------------------


def read_text(path: Path, option: str) -> list[str]:
    """Lines of the file that an option names; BenchError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return list(decode_lines(file, str(path)))
    except OSError as error:
        raise BenchError(f"{option} {path}: cannot read it ({error.strerror})") from None


def translated(
    lines: Iterator[str], translator: Translator, *, num_best: int
) -> Iterator[tuple[str, Sequence[Translation]]]:
    """Each line with its translations, best first; an empty list where it has no words."""
    while chunk := list(islice(lines, CHUNK_LINES)):
        worded = [line for line in chunk if line.strip()]
        found = iter(translator.translate(worded, num_best=num_best) if worded else [])
        for line in chunk:
            yield line, next(found) if line.strip() else []


def formatted(place: int, found: Sequence[Translation], format: Format) -> Iterator[str]:
    """Output lines of the input line at `place`."""
    if format == "text":
        yield found[0].text if found else ""
    for rank, one in enumerate(found, start=1):
        if format == "moses":
            yield Candidate(
                sentence=place,
                text=one.text,
                features=f"log_prob= {one.log_prob:.6f}",
                score=one.score,
            ).line()
        elif format == "json":
            line = {
                "sentence": place,
                "rank": rank,
                "text": one.text,
                "tokenised": one.tokenised,
                "log_prob": round(one.log_prob, 6),
                "score": round(one.score, 6),
            }
            yield msgspec.json.encode(line).decode()


# Scores against a reference ---------------------------------------------------------------------


def scores(
    texts: Sequence[str],
    references: Sequence[str],
    *,
    corpus: ParallelCorpus,
    unknown: ReplaceUnknown = "never",
    words: Sequence[str] | None = None,
) -> dict[str, float]:
    """Signature -> value in percent of plain translations, as a run of the corpus is scored.

    `words`: their words between blanks; cut as the task does unless given.
    """
    protocol = replace(corpus.bleu, unknown=unknown)
    hypotheses, truth = texts, references
    if protocol.text == "tokenised":
        hypotheses = words if words is not None else _tokenised(texts, corpus)
        truth = _tokenised(references, corpus)
    counts = count_sentences(hypotheses, truth, protocol=protocol)
    return {protocol.signature: counts.value, **beside_bleu(texts, references, unknown=unknown)}


def _tokenised(lines: Sequence[str], corpus: ParallelCorpus) -> list[str]:
    return [" ".join(corpus.target.tokens(line)) for line in lines]


def _print_scores(found: Mapping[str, float]) -> None:
    for signature, value in found.items():
        print(f"{signature} = {value:.2f}", file=sys.stderr)


# Attention's weights ----------------------------------------------------------------------------
#
#     {"sentence": 0, "source": ["ein", "Hund", "</s>"], "target": [...], "attention": [[...], ...]}
#
# `attention` has a row for each target symbol and a column for each source symbol, both with their
# ends; a row sums to 1.


class Alignment(NamedTuple):
    """Attention's weights [T, S] between T symbols of a translation and S of its source."""

    source: Sequence[str]
    target: Sequence[str]
    weights: Floats


def alignment_of(line: str, translation: Translation, corpus: ParallelCorpus) -> Alignment:
    """Alignment of a translation of `line`; BenchError for models without attention."""
    if translation.attention_TS is None:
        raise BenchError("these runs have no attention to show: leave it out")
    symbols = corpus.target.symbols
    return Alignment(
        source=[*corpus.source.pieces(line), SPECIAL[END]],
        target=[*(symbols[token] for token in translation.tokens), SPECIAL[END]],
        weights=np.asarray(translation.attention_TS.double().numpy()),
    )


def alignment_json(sentence: int, alignment: Alignment) -> str:
    """Line of the file of weights, with five decimals."""
    line = {
        "sentence": sentence,
        "source": list(alignment.source),
        "target": list(alignment.target),
        "attention": [[round(float(w), 5) for w in row] for row in alignment.weights],
    }
    return msgspec.json.encode(line).decode()


def draw_alignment(alignment: Alignment, path: Path) -> None:
    """Draw the weights in grey, white for 1: source above, translation beside.

    As D. Bahdanau, K. Cho and Y. Bengio (2015), figure 3.
    """
    height, width = alignment.weights.shape
    figure, [[axes]] = new_figure(width=1.2 + 0.26 * width, height=1.2 + 0.26 * height)
    axes.imshow(np.asarray(alignment.weights), cmap="gray", vmin=0.0, vmax=1.0)
    axes.grid(visible=False)
    axes.xaxis.tick_top()
    # A dollar sign would begin a formula.
    source, target = ([s.replace("$", r"\$") for s in side] for side in alignment[:2])
    axes.set_xticks(range(width), source, fontsize=8, rotation=90)
    axes.set_yticks(range(height), target, fontsize=8)
    axes.tick_params(length=0)
    save_figure(figure, path)


def _open_attention(path: Path | None, stack: ExitStack) -> IO[str] | None:
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"--attention {path}: cannot write there ({error.strerror})") from None


def _write_alignment(
    place: int, alignment: Alignment, file: IO[str] | None, folder: Path | None
) -> None:
    if file is not None:
        print(alignment_json(place, alignment), file=file)
    if folder is not None:
        draw_alignment(alignment, folder / f"sentence-{place}.png")
