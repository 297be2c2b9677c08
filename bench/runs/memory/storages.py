"""Bytes of the storages that operations make, as they come and go.

Tensors are views of storages, several of one at times; memory is the storages'. One is counted
when the first operation returns it and until nothing holds it any more: no tensor, no graph. What
was there before counts for nothing, and neither does what an operation needs inside itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WRITTEN_SHARE = 1 / 3
"""Of the workspace of the library's LSTM on a CPU, what its forward pass writes. The rest is no
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
