"""Loops over steps recorded once as CUDA graphs and replayed.

A loop of small products and kernels takes a GPU less time than its launches take Python. A graph
launches all of a loop at once, but works in memory of its own: arguments are copied into it before
a replay and results out of it after, so results of earlier calls stay valid.

Not yet measured on a GPU; the replaying itself is tested with a stand-in for the graph.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

Tensors = tuple[Tensor | None, ...]
Function = Callable[..., Tensors]
Recording = tuple[Callable[[], None], Tensors]
"""Function that repeats the work on fixed memory, and the outputs that it overwrites."""

REPLAYED_ON = {"cuda"}
"""Types of devices; tests of the replaying itself add the CPU."""
MIN_STEPS = 8
"""Steps below which the copies into and out of a graph take as many launches as it saves."""
CAPACITY = 16
"""Graphs in the cache; each holds the memory of a whole loop."""
RECORD_AT_CALL = 3
"""Call with the same shapes that is recorded: most shapes of ragged batches occur once."""
MAX_IDLE_CALLS = 1000
"""Calls without a use after which a graph may be replaced; ragged batches would else record for
ever."""
MAX_COUNTED_KEYS = 1024
NUM_WARM_UPS = 3


def record_graph(function: Callable[[], Tensors], device: torch.device) -> Recording:
    """Record a CUDA graph, warmed up on a side stream, as torch's notes on graphs ask."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device):
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(NUM_WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(side)
        # Threads that load data may use the GPU meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = function()
    return graph.replay, outputs


@dataclass(kw_only=True)
class _Entry:
    """Recording, its inputs, and the number of the last call that used it."""

    replay: Callable[[], None]
    inputs: Tensors
    outputs: Tensors
    last_call: int


class GraphCache:
    """Functions of tensors, recorded when they have been called often enough with the same shapes.

    A function returns new tensors or None, changes none of its arguments, and does the same work
    whenever shapes, types and options are the same.
    """

    def __init__(
        self,
        record: Callable[[Callable[[], Tensors], torch.device], Recording] = record_graph,
        *,
        capacity: int = CAPACITY,
        record_at_call: int = RECORD_AT_CALL,
        max_idle_calls: int = MAX_IDLE_CALLS,
    ) -> None:
        self.record = record
        self.capacity = capacity
        self.record_at_call, self.max_idle_calls = record_at_call, max_idle_calls
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()  # least recently used first
        self._counts: OrderedDict[Hashable, int] = OrderedDict()
        self._refused: set[Function] = set()
        self._num_calls = 0
        # Gradients are computed by another thread than losses.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def __call__(
        self, function: Function, tensors: Tensors, options: tuple[Hashable, ...] = ()
    ) -> Tensors:
        """function(*tensors, *options), without gradient."""
        # Memory made in inference mode could not be written to outside it.
        with self._lock, torch.inference_mode(False), torch.no_grad():
            self._num_calls += 1
            key = graph_key(function, tensors, options)
            entry = self._entries.get(key) or self._record(key, function, tensors, options)
            if entry is None:
                return function(*tensors, *options)
            return self._replay(key, entry, tensors)

    def _replay(self, key: Hashable, entry: _Entry, tensors: Tensors) -> Tensors:
        self._entries.move_to_end(key)
        entry.last_call = self._num_calls
        for own, given in zip(entry.inputs, tensors, strict=True):
            if own is not None and given is not None:
                own.copy_(given)
        entry.replay()
        return tuple(None if found is None else found.clone() for found in entry.outputs)

    def _record(
        self, key: Hashable, function: Function, tensors: Tensors, options: tuple[Hashable, ...]
    ) -> _Entry | None:
        if function in self._refused or not self._is_due(key):
            return None
        inputs = tuple(None if given is None else dense_copy(given) for given in tensors)
        device = next(given.device for given in tensors if given is not None)
        try:
            repeat, outputs = self.record(lambda: function(*inputs, *options), device)
        except RuntimeError as error:
            self._refused.add(function)
            warnings.warn(
                f"{function.__module__} cannot be recorded as a CUDA graph and runs without, more "
                f"slowly: {error}",
                stacklevel=2,
            )
            return None
        if len(self._entries) >= self.capacity:
            self._entries.popitem(last=False)
        entry = _Entry(replay=repeat, inputs=inputs, outputs=outputs, last_call=self._num_calls)
        self._entries[key] = entry
        return entry

    def _is_due(self, key: Hashable) -> bool:
        """Count a call. True if there were enough, and there is room or an idle graph."""
        self._counts[key] = self._counts.pop(key, 0) + 1
        if len(self._counts) > MAX_COUNTED_KEYS:
            self._counts.popitem(last=False)
        if self._counts[key] < self.record_at_call:
            return False
        if len(self._entries) < self.capacity:
            return True
        oldest = next(iter(self._entries.values()))
        return self._num_calls - oldest.last_call > self.max_idle_calls


def dense_copy(given: Tensor) -> Tensor:
    """Copy to dense memory, whatever the strides were."""
    return torch.empty(given.shape, dtype=given.dtype, device=given.device).copy_(given)


def graph_key(function: Function, tensors: Tensors, options: tuple[Hashable, ...]) -> Hashable:
    """Key of a recording: the work, its shapes, its device and stream, its rounding."""
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


GRAPHS = GraphCache()


def replay(
    function: Function, *tensors: Tensor | None, options: tuple[Hashable, ...] = ()
) -> Tensors:
    """function(*tensors, *options), by a graph where one pays; the first tensor has the steps."""
    first = tensors[0]
    assert first is not None
    if first.device.type not in REPLAYED_ON or len(first) < MIN_STEPS:
        return function(*tensors, *options)
    if first.is_cuda and torch.cuda.is_current_stream_capturing():
        return function(*tensors, *options)
    return GRAPHS(function, tensors, options)
