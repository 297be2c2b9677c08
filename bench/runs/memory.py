"""Memory of a training or evaluation step, measured on parts of a batch.

A step of a few rows is carried out while its storages are followed. What it holds grows along a
line with the rows, so two small parts say what the whole batch takes, at a fraction of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.core.errors import BenchError
from bench.training.objective import DivergedError, Objective
from bench.training.precision import autocast

# Bytes of the storages that operations make, as they come and go.
#
# Tensors are views of storages, several of one at times; memory is the storages'. One is counted
# when the first operation returns it and until nothing holds it any more: no tensor, no graph. What
# was there before counts for nothing, and neither does what an operation needs inside itself.


WRITTEN_SHARE = 1 / 3
"""Part of the workspace of the library's LSTM on a CPU that its forward pass writes. The rest is no
memory until its backward pass, which with buffers of its own then takes as much as the rest."""


class StorageTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, follows what operations put on a device, those of autograd included."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.live_bytes = 0
        """Held now."""
        self.peak_bytes = 0
        """Most that was held at once since `forget_peak`."""
        self._seen: dict[int, tuple[weakref.ref[Any], int]] = {}

    def forget_peak(self) -> None:
        """Let `peak_bytes` count from now."""
        self.peak_bytes = self.live_bytes

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        for tensor in self._tensors((args, kwargs)):
            self._see(tensor.untyped_storage(), 0)
        result = func(*args, **(kwargs or {}))
        workspace = _workspace(func, args, result)
        unwritten = 0 if workspace is None else round((1 - WRITTEN_SHARE) * workspace.nbytes)
        for tensor in self._tensors(result):
            num_bytes = tensor.untyped_storage().nbytes() - (
                unwritten if tensor is workspace else 0
            )
            self._see(tensor.untyped_storage(), num_bytes)
        self.peak_bytes = max(self.peak_bytes, self.live_bytes + unwritten)
        return result

    def _tensors(self, tree: Any) -> list[Tensor]:
        tensors = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
        # A sparse tensor has no storage but those of its indices and values, seen as they are made.
        return [x for x in tensors if x.device.type == self.device.type and not x.is_sparse]

    def _see(self, storage: torch.UntypedStorage, num_bytes: int) -> None:
        key = id(storage)
        if key in self._seen:
            return
        # Python's object of a storage lives as long as the storage, and has one number for so long.
        self._seen[key] = weakref.ref(storage, lambda _: self._forget(key)), num_bytes
        self.live_bytes += num_bytes

    def _forget(self, key: int) -> None:
        self.live_bytes -= self._seen.pop(key)[1]


def _workspace(func: Any, args: tuple[Any, ...], result: Any) -> Tensor | None:
    """The workspace that the library's LSTM makes, or that its backward pass is given."""
    if func is torch.ops.aten.mkldnn_rnn_layer.default:
        made: Tensor = result[-1]
        return made
    if func is torch.ops.aten.mkldnn_rnn_layer_backward.default:
        given: Tensor = args[-1]
        return given
    return None


Evaluation = Literal["valid", "test"]
Held = Callable[[Any], int]
"""Bytes that a step of a batch holds at its peak."""
FIRST_PART = 32
"""One row of so many is tried first, but two at the least: a single one is spared copies."""
PART_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}
"""Parts double until they hold more: then buffers of bounded size, the softmax's chunks of logits
for one, are full."""
ROWS_COUNT = 1.5
"""And until twice the rows hold so many times as much: then the peak is where rows count most, and
no longer where gradients of the weights do."""


def of_all_rows(held: Held, batch: Any, *, num_rows: int, part_bytes: int) -> int:
    """Bytes of so many rows: measured where that is little, else from a line through two parts."""
    size, bytes_held = 0, 0
    while size < num_rows:
        smaller, held_by_smaller = size, bytes_held
        size = min(2 * size or max(2, num_rows // FIRST_PART), num_rows)
        bytes_held = held(some_rows(batch, size))
        if held_by_smaller > part_bytes and bytes_held > ROWS_COUNT * held_by_smaller:
            break
    slope = (bytes_held - held_by_smaller) / (size - smaller)
    return round(bytes_held + slope * (num_rows - size))


def num_rows_in(batch: Any) -> int:
    """Streams, sentences, utterances or images: whatever the batch is of."""
    return max(len(part) for part in batch if part.dim())


def some_rows(batch: Any, num_rows: int) -> Any:
    """Rows of a batch, spread over it from the first one on; padding stays."""
    place_B = torch.arange(num_rows) * num_rows_in(batch) // num_rows
    parts = (part[place_B] if part.dim() else part for part in batch)
    return type(batch)._make(parts) if hasattr(batch, "_make") else tuple(parts)


def training_bytes(objective: Objective, batch: Any) -> int:
    """Peak bytes of a training step besides the weights and one set of gradients."""
    objective.train()
    objective.begin_sequence()
    objective.zero_grad()
    try:
        with torch.enable_grad():
            held = _second_of_two(objective, batch, _train)
    except DivergedError:
        raise BenchError(
            "the loss of the first step is no number, or far above that of a guess: begin with "
            "smaller weights, see the model's and the objective's options"
        ) from None
    gradients = [p.grad for p in objective.parameters() if p.grad is not None]
    held -= sum(gradient.nbytes for gradient in gradients if not gradient.is_sparse)
    objective.zero_grad()
    objective.begin_sequence()
    return held


def _train(objective: Objective, batch: Any) -> None:
    """A step up to the optimiser's, in the order of Lightning's loop.

    Of a batch in parts, gradients are added to those of the part before.
    """
    with autocast(objective.config.trainer, objective.device):
        loss = objective.training_step(batch, 0)
    if objective.config.trainer.accumulate == 1:
        objective.zero_grad()
    objective.backward(loss)
    objective.on_after_backward()


@torch.no_grad()
def evaluation_bytes(objective: Objective, batch: Any, split: Evaluation) -> int:
    """Peak bytes of an evaluation step besides the weights."""
    objective.eval()
    if split == "valid":
        objective.on_validation_epoch_start()
        held = _second_of_two(objective, batch, lambda each, part: each.validation_step(part, 0))
    else:
        objective.on_test_epoch_start()
        held = _second_of_two(objective, batch, lambda each, part: each.test_step(part, 0))
    objective.begin_sequence()
    return held


def _second_of_two(objective: Objective, batch: Any, step: Callable[[Objective, Any], None]) -> int:
    """Bytes of the second of two equal steps: the first has no gradients and no state yet."""
    device = objective.device
    batch = objective.transfer_batch_to_device(batch, device, 0)
    tracker = StorageTracker(device)
    with tracker:
        step(objective, batch)
        tracker.forget_peak()
        step(objective, batch)
    return tracker.peak_bytes + sum(part.nbytes for part in batch if isinstance(part, Tensor))
