"""Search of captions, and their likelihoods, by one captioner or by an ensemble of several.

log p(sentence | image) of every sentence for every image is computed on a tree of prefixes, each
prefix once.

    a dog runs </s>         level 0    1      2       3
    a dog sits </s>                 a - dog -+- runs - </s>
    a man </s>                        |      +- sits - </s>
                                      +- man --- </s>

Shapes: B images at once, S sentences, T tokens, M nodes of a level, K nodes of a level that go on,
N = B K rows, E = B M edges, R readout, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.captioning.network.captioner import CaptionNetwork
from bench.captioning.network.options import CaptioningOptions
from bench.data.tokens import END, START, UNKNOWN
from bench.layers.full import FullSoftmax, chunk_rows
from bench.layers.products import product, products_as
from bench.seq2seq.attention import Memory
from bench.seq2seq.beam import Hypothesis
from bench.seq2seq.decoder import DecoderState
from bench.seq2seq.search import Search, mean_log_prob


@dataclass(frozen=True, kw_only=True)
class CaptionSearch(Search):
    """Search of captions; an ensemble's networks may each see features of their own."""

    max_length: int = 30
    """Words of a caption at the most."""
    forbidden: tuple[int, ...] = (START, UNKNOWN)

    def __call__(
        self, networks: Sequence[CaptionNetwork], features: Sequence[Tensor], *, num_best: int = 1
    ) -> list[list[Hypothesis]]:
        """Best captions of each image, best first; `features` are those of each network."""
        first = features[0]
        return self.best(
            networks,
            [(feature,) for feature in features],
            torch.full((len(first),), self.max_length + 1, device=first.device),
            forbidden=self.forbidden,
            num_best=num_best,
        )

    @property
    def signature(self) -> str:
        """Name of the search; settings other than the defaults are part of it."""
        name = self.name
        if self.max_length != CaptionSearch.max_length:
            name += f"+longest({self.max_length})"
        return name if UNKNOWN in self.forbidden else f"{name}+unknown"


def quick_search(options: CaptioningOptions) -> CaptionSearch:
    """Greedy, for validation during training."""
    forbidden = (START, UNKNOWN) if options.unknown == "forbidden" else (START,)
    return CaptionSearch(max_length=options.max_length, forbidden=forbidden)


Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_ROWS = 20_000
"""Rows of a step, images times prefixes, that are in memory at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """Nodes of one depth, in the order of their parents."""

    parent: Ids
    """Parent of each node, among the nodes of the previous level that go on [M]."""
    token: Ids
    """Token of each node [M]."""
    inner: Ids
    """Nodes that go on [K]."""
    sentence: Ids
    """Sentences that end here."""
    leaf: Ids
    """Node where each of these ends."""


def prefix_tree(rows: Sequence[Ids], *, end: int) -> list[Level]:
    """Levels of sentences without their ends; each sentence ends in a node `end`."""
    length_S = np.array([len(row) + 1 for row in rows], np.int64)
    ids_ST = np.full((len(rows), int(length_S.max(initial=0))), end, np.int64)
    for ids_T, row in zip(ids_ST, rows, strict=True):
        ids_T[: len(row)] = row
    size = int(ids_ST.max(initial=end)) + 1
    at_S = np.zeros(len(rows), np.int64)
    levels = []
    for depth, ids_S in enumerate(ids_ST.T):
        alive = np.flatnonzero(length_S > depth)
        key, node = np.unique(at_S[alive] * size + ids_S[alive], return_inverse=True)
        ends = length_S[alive] == depth + 1
        going = np.zeros(len(key), np.bool_)
        going[node[~ends]] = True
        levels.append(
            Level(
                parent=key // size,
                token=key % size,
                inner=np.flatnonzero(going),
                sentence=alive[ends],
                leaf=node[ends],
            )
        )
        at_S[alive] = (np.cumsum(going) - 1)[node]
    return levels


class _Place(NamedTuple):
    """State of one network after K prefixes of each of B images."""

    memory: Memory
    carried: DecoderState
    readout: Tensor
    """Readout of the next word [N, R]."""


@torch.no_grad()
def log_likelihoods(
    networks: Sequence[CaptionNetwork],
    features: Sequence[Tensor],
    sentences: Sequence[Ids],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Natural log p of each sentence with its end for each image [S, images].

    `features` are those that each network reads, `sentences` ids without ends; several networks
    are an ensemble that averages probabilities at every word. `progress` counts images.
    """
    levels = prefix_tree(sentences, end=END)
    widest = max((len(level.token) for level in levels), default=1)
    num_images, size = len(features[0]), max(1, MAX_ROWS // max(widest, 1))
    found_SI = np.zeros((len(sentences), num_images))
    for first in range(0, num_images, size):
        rows = slice(first, min(first + size, num_images))
        _fill(found_SI[:, rows], networks, [part[rows] for part in features], levels)
        if progress is not None:
            progress(rows.stop, num_images)
    return found_SI


def _fill(
    found_SB: Floats,
    networks: Sequence[CaptionNetwork],
    features: Sequence[Tensor],
    levels: Sequence[Level],
) -> None:
    num_images, device = len(features[0]), features[0].device
    start_B = torch.full((num_images,), START, device=device)
    places = [
        _step(network, start_B, *network.encode(feature))
        for network, feature in zip(networks, features, strict=True)
    ]
    total_BK = torch.zeros(num_images, 1, dtype=torch.float64, device=device)
    for level in levels:
        parent_M, token_M = (torch.from_numpy(of).to(device) for of in (level.parent, level.token))
        each = [
            _edges(network.output, place.readout, parent_M, token_M, num_images).double()
            for network, place in zip(networks, places, strict=True)
        ]
        total_BM = total_BK[:, parent_M] + mean_log_prob(each)
        found_SB[level.sentence] = total_BM[:, torch.from_numpy(level.leaf)].t().cpu().numpy()
        inner_K = torch.from_numpy(level.inner).to(device)
        if not len(inner_K):
            break
        places = [
            _advance(network, place, parent_M[inner_K], token_M[inner_K], num_images)
            for network, place in zip(networks, places, strict=True)
        ]
        total_BK = total_BM[:, inner_K]


def _step(
    network: CaptionNetwork, token_N: Tensor, memory: Memory, carried: DecoderState
) -> _Place:
    r_NR, carried = network.decoder.step(network.embedding(token_N), memory, carried)
    return _Place(memory, carried, r_NR)


def _advance(
    network: CaptionNetwork, place: _Place, parent_K: Tensor, token_K: Tensor, num_images: int
) -> _Place:
    row_N = _rows(parent_K, len(place.readout) // num_images, num_images)
    return _step(network, token_K.repeat(num_images), place.memory, place.carried.rows(row_N))


def _rows(parent_M: Tensor, num_parents: int, num_images: int) -> Tensor:
    """Row of each node's parent, image by image [E]."""
    first_B1 = num_parents * torch.arange(num_images, device=parent_M.device)[:, None]
    return (first_B1 + parent_M).flatten()


def _edges(
    output: FullSoftmax, r_NR: Tensor, parent_M: Tensor, token_M: Tensor, num_images: int
) -> Tensor:
    """log p of each node's token after its parent [B, M], without all words of all rows at once."""
    row_E = _rows(parent_M, len(r_NR) // num_images, num_images)
    token_E, log_p_E = token_M.repeat(num_images), r_NR.new_empty(len(row_E))
    weight_VR, bias_V = output.weight, output.bias
    size = chunk_rows(len(weight_VR), weight_VR.element_size(), r_NR.device.type, "inference")
    starts = torch.arange(0, len(r_NR) + size, size, device=row_E.device)
    edges = torch.searchsorted(row_E, starts).tolist()  # rows rise: parents do, images do
    with products_as(output.products, r_NR.device):
        for number, (begin, end) in enumerate(itertools.pairwise(edges)):
            part_MR = r_NR[number * size : (number + 1) * size]
            z_MV = r_NR.new_empty(len(part_MR), len(weight_VR))
            product(part_MR, weight_VR.t(), output.products, z_MV).add_(bias_V)
            inside_E = row_E[begin:end] - number * size
            z_E = z_MV[inside_E, token_E[begin:end]]
            log_p_E[begin:end] = z_E - z_MV.logsumexp(1)[inside_E]
    return log_p_E.view(num_images, -1)
