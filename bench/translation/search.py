"""Search of translations, and the attention behind them.

Shapes: B sentences, S source words, T target words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.tokens import START
from bench.seq2seq.beam import Hypothesis
from bench.seq2seq.search import Search, padded
from bench.translation.network import Pairs, TranslationNetwork

ADDED_LENGTH = 10
"""Words that a translation may have beyond `max_length_factor` times those of its source."""


@dataclass(frozen=True, kw_only=True)
class TranslationSearch(Search):
    """Search of translations by one network, or by several as an ensemble.

    A translation has at most `max_length_factor` times the words of its source and ADDED_LENGTH
    more; an empty source has an empty translation.
    """

    max_length_factor: float = 2.0

    def __call__(
        self,
        networks: Sequence[TranslationNetwork],
        source_BS: Tensor,
        lengths_B: Tensor,
        *,
        num_best: int = 1,
    ) -> list[list[Hypothesis]]:
        """Best translations of each sentence, best first."""
        words_B = lengths_B - 1
        max_length_B = (words_B * self.max_length_factor).ceil().long() + ADDED_LENGTH + 1
        return self.best(
            networks,
            [(source_BS, lengths_B) for _ in networks],
            max_length_B.where(words_B > 0, 1),
            forbidden=(START,),
            num_best=num_best,
        )

    @property
    def signature(self) -> str:
        """Name of the search; a factor other than the default is part of it."""
        if self.max_length_factor == TranslationSearch.max_length_factor:
            return self.name
        return f"{self.name}+longest({self.max_length_factor:g})"


def alignments(
    networks: Sequence[TranslationNetwork],
    source_BS: Tensor,
    lengths_B: Tensor,
    found: Sequence[Sequence[Hypothesis]],
) -> list[list[Tensor | None]]:
    """Attention's weights of each translation [T, S], both with their end, on the CPU.

    The mean over the networks that have attention; None where none has.
    """
    sentence_of = [b for b, of_one in enumerate(found) for _ in of_one]
    row_N = torch.tensor(sentence_of, dtype=torch.long, device=source_BS.device)
    words = [one.tokens for of_one in found for one in of_one]
    target_NT, target_lengths_N = padded(words, source_BS.device)
    source_lengths_N = lengths_B[row_N]
    pairs = Pairs(source_BS[row_N], source_lengths_N, target_NT, target_lengths_N)
    each = [a for network in networks if (a := network.alignments(pairs)) is not None]
    if not each:
        return [[None for _ in of_one] for of_one in found]
    mean_NTS = torch.stack(each).mean(0).cpu()
    ends = zip(target_lengths_N.tolist(), source_lengths_N.tolist(), strict=True)
    cut = iter([a[:t, :s] for a, (t, s) in zip(mean_NTS, ends, strict=True)])
    return [[next(cut) for _ in of_one] for of_one in found]
