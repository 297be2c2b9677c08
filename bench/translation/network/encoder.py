"""The encoder: source words to annotations, one a word, and the last state.

Shapes: B sentences, S source words, E embedding, A annotation.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.models import build_recurrence
from bench.models.bidirectional import Bidirectional
from bench.models.deep import Deep
from bench.models.recurrence import Recurrence, State, keep, valid_steps
from bench.seq2seq.options import NetworkOptions
from bench.training.dropout import drop_by


class Encoder(nn.Module):
    """Any recurrence over word vectors, or, with `encoder` words, these vectors themselves."""

    def __init__(
        self, model: Mapping[str, object], options: NetworkOptions, vocabulary_size: int, size: int
    ) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(vocabulary_size, size)
        own = {key: value for key, value in model.items() if key != "name"}
        self.recurrence: Recurrence | None = None
        if options.encoder == "recurrent":
            self.recurrence = build_recurrence(str(model["name"]), size, own)
        self.annotation_size = size if self.recurrence is None else self.recurrence.output_size

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Tensor, State]:
        """Annotations h_BSA in the order of `source_BS`, zero at padding, and the last state.

        A source that is read backwards has the state of the backward reading.
        """
        options = self.options
        x_BSE = self.embedding(self._ordered(source_BS, lengths_B))
        x_BSE = drop_by(options.dropout_mask, x_BSE, options.dropout_source, self.training)
        state: State = ()
        if self.recurrence is None:
            h_BSA = keep(x_BSE, valid_steps(lengths_B, source_BS.shape[1], x_BSE))
        else:
            h_BSA, state = self.recurrence(x_BSE, None, lengths_B)
        share = options.dropout_annotations
        h_BSA = drop_by(options.dropout_mask, h_BSA, share, self.training)
        return self._ordered(h_BSA, lengths_B), state

    def _ordered(self, values_BS: Tensor, lengths_B: Tensor) -> Tensor:
        """As they are read, or from there back: both are the same exchange of places."""
        if self.options.source_order == "forward":
            return values_BS
        place_BS = mirrored(lengths_B, values_BS.shape[1])
        if values_BS.dim() == 3:
            return values_BS.gather(1, place_BS[:, :, None].expand_as(values_BS))
        return values_BS.gather(1, place_BS)

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the last state; none without a recurrence."""
        return () if self.recurrence is None else self.recurrence.state_shapes()

    @property
    def backward_size(self) -> int:
        """Entries of an annotation, its last ones, that a backward reading wrote; 0: none."""
        top = self.recurrence
        if isinstance(top, Deep):
            top = top.pile()[-1]
        return top.back.output_size if isinstance(top, Bidirectional) else 0

    def flops_per_step(self) -> int:
        """Of a source word, matrix products only."""
        return 0 if self.recurrence is None else self.recurrence.flops_per_step()


def mirrored(lengths_B: Tensor, num_places: int) -> Tensor:
    """Where each place [B, S] finds its word when a sentence is turned: its end stays the end."""
    place_S = torch.arange(num_places, device=lengths_B.device)
    turned_BS = lengths_B[:, None] - 2 - place_S
    return torch.where(turned_BS >= 0, turned_BS, place_S)
