"""Export of n-gram models to ARPA, the text format that speech and translation tools read.

A line is `log10 P(hw)`, the words, and `log10 B(hw)` where hw is a context, separated by tabs.
Interpolated models fit the format as they are: P already holds the lower orders (smoothing.py).

Within sentences, an end of sentence that begins an n-gram is written `<s>` and any other `</s>`;
a unigram `<s>` with log10 P = -99 carries its back-off weight. Across sentences the end of
sentence is an ordinary word and keeps its name, so a reader must not add `<s>` or `</s>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.base import Floats
from bench.text.baselines.ngram import NGram

START, END = "<s>", "</s>"
_NEVER = -99.0


def write_arpa(model: NGram, vocabulary: Sequence[str], path: Path) -> None:
    """Write a fitted model to `path`; `vocabulary` holds the words in the order of their ids."""
    trie, _ = model.fitted
    if len(vocabulary) != trie.vocabulary_size:
        raise BenchError(
            f"{path}: the model has {trie.vocabulary_size} words and the vocabulary "
            f"{len(vocabulary)}: pass the vocabulary that the model was trained with"
        )
    broken = [word for word in vocabulary if not word or word.split() != [word]]
    if broken:
        raise BenchError(f"{path}: {broken[0]!r} has white space, which separates words in ARPA")
    reserved = {START, END}.intersection(vocabulary)
    if reserved:
        raise BenchError(f"{path}: the text holds {min(reserved)!r}, which ARPA puts in: remove it")
    marks = trie.end_of_sentence is not None and trie.contexts == "within-sentences"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\\data\\\n")
        for k, grams in enumerate(trie.orders, start=1):
            file.write(f"ngram {k}={len(grams.key) + (marks and k == 1)}\n")
        for k in range(1, len(trie.orders) + 1):
            _write_order(file, model, vocabulary, k, marks=marks)
        file.write("\n\\end\\\n")


def _write_order(
    file: TextIO, model: NGram, vocabulary: Sequence[str], k: int, *, marks: bool
) -> None:
    trie, tables = model.fitted
    first, later = list(vocabulary), list(vocabulary)
    end = trie.end_of_sentence
    if marks and end is not None:
        first[end] = END if k == 1 else START
        later[end] = END
    words = trie.spell(k)
    columns = [[first[w] for w in words[:, 0]]]
    columns += [[later[w] for w in words[:, j]] for j in range(1, k)]
    lines = [" ".join(gram) for gram in zip(*columns, strict=True)]
    log_p = np.log10(tables.probability[k - 1])
    log_b = _log10(tables.backoff[k]) if k < len(trie.orders) else None
    file.write(f"\n\\{k}-grams:\n")
    if marks and k == 1 and end is not None:
        start_b = log_b[end] if log_b is not None else 0.0
        file.write(f"{_NEVER:.7f}\t{START}\t{start_b:.7f}\n")
    if log_b is None:
        file.writelines(f"{p:.7f}\t{g}\n" for p, g in zip(log_p, lines, strict=True))
    else:
        if marks and k == 1 and end is not None:
            log_b[end] = 0.0
        rows = zip(log_p, lines, log_b, strict=True)
        file.writelines(f"{p:.7f}\t{g}\t{b:.7f}\n" for p, g, b in rows)


def _log10(weight: Floats) -> Floats:
    return np.log10(weight, out=np.full(len(weight), _NEVER), where=weight > 0)
