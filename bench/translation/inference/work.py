"""What `bench translate` and `bench rescore` do, from the names of runs to lines and files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.runs.ensembles import Device
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.inference.attention import END, Alignment, as_json, draw_alignment
from bench.translation.inference.candidates import read_candidates
from bench.translation.inference.lines import Form, decoded, translated, written
from bench.translation.inference.reference import read_text, scores
from bench.translation.inference.rescoring import rescore
from bench.translation.inference.runs import Wishes, find_translators, make_translator
from bench.translation.network.translator import Translation


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
