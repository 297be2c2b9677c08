"""How captions are searched, by one captioner or by an ensemble of several.

Shapes: B images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.captioning.network.network import CaptionNetwork
from bench.captioning.network.options import CaptioningOptions
from bench.data.segmentation import START, UNKNOWN
from bench.seq2seq.beam import Found
from bench.seq2seq.length_penalty import LengthPenalty
from bench.seq2seq.search import NO_PENALTY, search_in_parts, search_name


@dataclass(frozen=True, kw_only=True)
class CaptionSearch:
    """Writes about images; an ensemble's networks may each see features of their own."""

    beam_size: int = 1
    penalty: LengthPenalty = NO_PENALTY
    max_length: int = 30
    """Words of a caption at the most."""
    forbidden: tuple[int, ...] = (START, UNKNOWN)

    def __call__(
        self, networks: Sequence[CaptionNetwork], features: Sequence[Tensor], *, num_best: int = 1
    ) -> list[list[Found]]:
        """The best captions of each image, best first; `features` are those of each network."""
        longest_B = torch.full((len(features[0]),), self.max_length + 1, device=features[0].device)
        return search_in_parts(
            networks,
            [(feature,) for feature in features],
            longest_B,
            forbidden=self.forbidden,
            beam_size=self.beam_size,
            num_best=num_best,
            penalty=self.penalty,
        )

    @property
    def signature(self) -> str:
        """greedy, beam(K) or beam(K)+penalty; what is not usual is named."""
        kind = search_name(self.beam_size, self.penalty)
        if self.max_length != CaptionSearch.max_length:
            kind += f"+longest({self.max_length})"
        return kind if UNKNOWN in self.forbidden else f"{kind}+unknown"


def quick_search(options: CaptioningOptions) -> CaptionSearch:
    """Greedy, for validation during training."""
    forbidden = (START, UNKNOWN) if options.unknown == "forbidden" else (START,)
    return CaptionSearch(max_length=options.max_length, forbidden=forbidden)
