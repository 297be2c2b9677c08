"""Loops over steps recorded once as CUDA graphs and replayed.

A loop of small products and kernels takes a GPU less time than its launches take Python. A graph
launches all of a loop at once, but works in memory of its own: arguments are copied into it before
a replay and results out of it after, so what an earlier call returned stays what it was.

Not yet measured on a GPU; the replaying itself is tested with a stand-in for the graph.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Tensors = tuple[Tensor | None, ...]
Function = Callable[..., Tensors]

REPLAYED_ON = {"cuda"}
"""Kinds of devices; tests of the replaying itself add the CPU."""
FEWEST_STEPS = 8
"""Below it the copies into a graph and out of it take as many launches as they save."""
CAPACITY = 16
"""Graphs kept; each holds the memory of a whole loop."""
SIGHTINGS = 3
"""The call with the same shapes that is recorded: most shapes of ragged batches come once."""
PATIENCE = 1000
"""Calls without a use after which a graph makes room; ragged batches would else record for ever."""
KEYS_COUNTED = 1024
WARM_UPS = 3


class Recording(Protocol):
    """A function's work on fixed memory, done again at each replay."""

    outputs: Tensors
    """Overwritten at each replay."""

    def replay(self) -> None:
        """Do all of it again."""
        ...


class CudaRecording:
    """By a CUDA graph; warmed up beside the current stream, as torch's notes on graphs ask."""

    def __init__(self, function: Callable[[], Tensors], device: torch.device) -> None:
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device):
            beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(WARM_UPS):
                    function()
            torch.cuda.current_stream().wait_stream(beside)
            # Threads that load data may use the GPU meanwhile.
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.outputs = function()

    def replay(self) -> None:
        """Launch all of it."""
        self.graph.replay()


@dataclass(kw_only=True)
class _Kept:
    """A recording, what it reads, and the number of the call that used it last."""

    recording: Recording
    inputs: Tensors
    last_call: int


class Replays:
    """Functions of tensors, recorded when they meet the same shapes for the third time.

    A function returns tensors of its own making or None, changes nothing that it is given, and
    does the same work whenever shapes, types and options are the same.
    """

    def __init__(
        self,
        record: Callable[[Callable[[], Tensors], torch.device], Recording] = CudaRecording,
        *,
        capacity: int = CAPACITY,
        sightings: int = SIGHTINGS,
        patience: int = PATIENCE,
    ) -> None:
        self.record = record
        self.capacity, self.sightings, self.patience = capacity, sightings, patience
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()  # the least recently used first
        self._seen: OrderedDict[Hashable, int] = OrderedDict()
        self._refused: set[Function] = set()
        self._num_calls = 0
        # Gradients are computed by another thread than losses.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(
        self, function: Function, tensors: Tensors, options: tuple[Hashable, ...] = ()
    ) -> Tensors:
        """function(*tensors, *options), without gradient."""
        # Memory made in inference mode could not be written to outside it.
        with self._lock, torch.inference_mode(False), torch.no_grad():
            self._num_calls += 1
            key = key_of(function, tensors, options)
            kept = self._kept.get(key) or self._recorded(key, function, tensors, options)
            if kept is None:
                return function(*tensors, *options)
            return self._replayed(key, kept, tensors)

    def _replayed(self, key: Hashable, kept: _Kept, tensors: Tensors) -> Tensors:
        self._kept.move_to_end(key)
        kept.last_call = self._num_calls
        for own, given in zip(kept.inputs, tensors, strict=True):
            if own is not None and given is not None:
                own.copy_(given)
        kept.recording.replay()
        return tuple(None if found is None else found.clone() for found in kept.recording.outputs)

    def _recorded(
        self, key: Hashable, function: Function, tensors: Tensors, options: tuple[Hashable, ...]
    ) -> _Kept | None:
        if function in self._refused or not self._is_due(key):
            return None
        inputs = tuple(None if given is None else copied(given) for given in tensors)
        device = next(given.device for given in tensors if given is not None)
        try:
            recording = self.record(lambda: function(*inputs, *options), device)
        except RuntimeError as error:
            self._refused.add(function)
            warnings.warn(
                f"{function.__module__} cannot be recorded as a CUDA graph and runs without, more "
                f"slowly: {error}",
                stacklevel=2,
            )
            return None
        if len(self._kept) >= self.capacity:
            self._kept.popitem(last=False)
        self._kept[key] = _Kept(recording=recording, inputs=inputs, last_call=self._num_calls)
        return self._kept[key]

    def _is_due(self, key: Hashable) -> bool:
        """Whether a key was met often enough, and there is room or a graph out of use."""
        self._seen[key] = self._seen.pop(key, 0) + 1
        if len(self._seen) > KEYS_COUNTED:
            self._seen.popitem(last=False)
        if self._seen[key] < self.sightings:
            return False
        if len(self._kept) < self.capacity:
            return True
        return self._num_calls - next(iter(self._kept.values())).last_call > self.patience


def copied(given: Tensor) -> Tensor:
    """The same numbers in memory of its own, dense whatever the strides were."""
    return torch.empty(given.shape, dtype=given.dtype, device=given.device).copy_(given)


def key_of(function: Function, tensors: Tensors, options: tuple[Hashable, ...]) -> Hashable:
    """What a recording is good for: the work, its shapes, where it runs and how it rounds."""
    shapes = tuple(None if t is None else (t.shape, t.dtype, t.device) for t in tensors)
    device = next(t.device for t in tensors if t is not None)
    if device.type != "cuda":
        return function, options, shapes
    rounding = (
        torch.backends.cuda.matmul.fp32_precision,
        torch.backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        torch.are_deterministic_algorithms_enabled(),
    )
    return function, options, shapes, torch.cuda.current_stream(device).cuda_stream, rounding


REPLAYS = Replays()


def replayed(
    function: Function, *tensors: Tensor | None, options: tuple[Hashable, ...] = ()
) -> Tensors:
    """function(*tensors, *options) by a graph where one pays; the first tensor has the steps."""
    first = tensors[0]
    assert first is not None
    if first.device.type not in REPLAYED_ON or len(first) < FEWEST_STEPS:
        return function(*tensors, *options)
    if first.is_cuda and torch.cuda.is_current_stream_capturing():
        return function(*tensors, *options)
    return REPLAYS(function, tensors, options)
