"""From what a search found to text; unknown words as they are, or replaced by their source words.

M.-T. Luong, I. Sutskever, Q. Le, O. Vinyals and W. Zaremba, 2015, and S. Jean, K. Cho, R. Memisevic
and Y. Bengio, 2015, replace an unknown word by the source word that it is aligned to, which is
copied here; the alignment is attention's largest weight.

Shapes: T target words, S source words, both with their end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bench.core.errors import BenchError
from bench.data.segmentation import UNKNOWN, Segmenter
from bench.seq2seq.beam import Found

ReplaceUnknown = Literal["never", "aligned"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Translation:
    """One translation of one sentence."""

    tokens: tuple[int, ...]
    """Without the end."""
    text: str
    """Plain."""
    tokenised: str
    """Words between blanks."""
    log_prob: float
    """Natural, of the tokens and the end."""
    score: float
    """The same after the length penalty."""
    attention_TS: Tensor | None  # noqa: N815
    """Weights of the source's tokens for each token; both with their end. None where no network
    has attention, or nobody asked."""


def word(
    found: Found,
    attention_TS: Tensor | None,
    *,
    source: Segmenter,
    source_text: str,
    target: Segmenter,
    replace_unknown: ReplaceUnknown,
) -> Translation:
    """What was found for `source_text`, as text."""
    pieces = [target.symbols[token] for token in found.tokens]
    if replace_unknown == "aligned" and UNKNOWN in found.tokens:
        if attention_TS is None:
            raise BenchError(
                "unknown words are replaced by the words that attention points to, and these "
                "models have none: leave the replacement out"
            )
        source_pieces = source.pieces(source_text)
        source_T = attention_TS[:, : len(source_pieces)].argmax(1).tolist()
        for place, token in enumerate(found.tokens):
            if token == UNKNOWN:
                pieces[place] = source_pieces[source_T[place]]
    return Translation(
        tokens=found.tokens,
        text=target.decode_pieces(pieces),
        tokenised=target.tokenise_pieces(pieces),
        log_prob=found.log_prob,
        score=found.score,
        attention_TS=attention_TS,
    )
