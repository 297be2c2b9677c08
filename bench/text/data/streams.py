"""Batches for truncated back-propagation through time over parallel contiguous streams.

    tokens   t1 t2 t3 t4 t5 t6 t7 t8 t9 t10 t11     batch_size 2, bptt_length 2

    stream 0   input  <e> t1 | t2 t3 | t4 t5        target  t1 t2 | t3 t4 | t5 t6
    stream 1   input  t6  t7 | t8 t9 | t10 .        target  t7 t8 | t9 t10| t11 -

Every token is a target exactly once in an epoch. A stream's first input is the token before its
first target; the split's own first token is predicted from `first_input`. Streams differ in length
by one token at most; the shorter ones end in one place with target `IGNORE` (-), which counts for
nothing. The last chunk takes that column too instead of leaving it alone in a chunk of its own.

B streams, T time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.core.errors import BenchError

IGNORE = -100  # the default `ignore_index` of torch's cross entropy


class Streams:
    """A loader of (input_BT, target_BT), int64; its place can be saved and restored exactly.

    `batch_size` is the number of streams over all ranks together, so the same setting means the
    same training on any number of them; each rank reads `batch_size / world_size` streams. The
    place moves on before a batch is handed out: a state taken while a batch is in use names the
    next one. Iteration begins at the restored place once, later at the beginning.
    """

    def __init__(
        self,
        tokens: npt.NDArray[np.int64],
        *,
        batch_size: int,
        bptt_length: int,
        first_input: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if bptt_length < 1 or batch_size < 1:
            raise BenchError("batch_size and bptt_length must be at least 1")
        if batch_size % world_size:
            raise BenchError(
                f"batch_size {batch_size} cannot be shared evenly by {world_size} processes: "
                f"choose a multiple of {world_size}"
            )
        if len(tokens) < batch_size:
            raise BenchError(
                f"{len(tokens)} tokens are too few for {batch_size} streams: choose a smaller "
                "batch_size"
            )
        self.batch_size = batch_size // world_size
        self.bptt_length = bptt_length
        self.num_tokens = len(tokens)  # over all ranks
        first_stream = rank * self.batch_size
        streams = range(first_stream, first_stream + self.batch_size)
        self._rows_BT = _rows(tokens, streams, num_streams=batch_size, first_input=first_input)
        self._num_full_columns = len(tokens) // batch_size
        self._place = 0
        self._resume_at = 0

    def __len__(self) -> int:
        return -(-self._num_full_columns // self.bptt_length)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self._place, self._resume_at = self._resume_at % len(self), 0
        while self._place < len(self):
            self._place += 1
            yield self.batch(self._place - 1)

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """The batch of one place: input_BT and target_BT, T at most bptt_length + 1."""
        begin = number * self.bptt_length
        end = self._rows_BT.shape[1] - 1
        if number < len(self) - 1:
            end = begin + self.bptt_length
        window_BT = self._rows_BT[:, begin : end + 1].long()
        return window_BT[:, :-1].contiguous(), window_BT[:, 1:].contiguous()

    def largest(self) -> list[tuple[Tensor, Tensor]]:
        """The batch with the most steps."""
        first, last = self.batch(0), self.batch(len(self) - 1)
        return [max(first, last, key=lambda batch: batch[0].numel())]

    def state_dict(self) -> dict[str, int]:
        """The place of the next batch, with what must not change until it is restored."""
        return {"place": self._place, **self._identity()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin the next iteration at the saved place.

        Raises BenchError for a state of other streams: other text, batch size or chunk length.
        """
        saved = {name: value for name, value in state.items() if name != "place"}
        if saved != self._identity():
            raise BenchError(
                f"the saved place belongs to streams of {saved}, these are {self._identity()}: "
                "start the run again with `--again`"
            )
        self._resume_at = self._place = state["place"]

    def _identity(self) -> dict[str, int]:
        return {
            "num_tokens": self.num_tokens,
            "batch_size": self.batch_size,
            "bptt_length": self.bptt_length,
        }


def _rows(
    tokens: npt.NDArray[np.int64], streams: range, *, num_streams: int, first_input: int
) -> Tensor:
    """The chosen streams, one a row, each after the token before it; short ones end in IGNORE."""
    short, num_long = divmod(len(tokens), num_streams)
    rows = np.full((len(streams), 1 + short + (num_long > 0)), IGNORE, np.int32)
    for row, stream in zip(rows, streams, strict=True):
        begin = stream * short + min(stream, num_long)
        length = short + (stream < num_long)
        row[0] = tokens[begin - 1] if begin else first_input
        row[1 : 1 + length] = tokens[begin : begin + length]
    return torch.from_numpy(rows)
