"""Beginning with the weights of another run instead of drawn ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from bench.core.errors import BenchError, nearest
from bench.training.checkpoint import WEIGHTS, load_weights

WHOLE = "model"


def warm_start(network: nn.Module, init: Mapping[str, str], runs: Path) -> None:
    """Load weights of finished runs, whose artifacts lie in `runs`, into parts of `network`.

    `init` maps a part (`model` for all of it, or a child such as `recurrence`) to a run; parts are
    loaded in the order of their names after the whole. Raises BenchError for an unknown part, a run
    without weights, and a parameter that is missing, superfluous or of another shape.
    """
    for part in sorted(init, key=lambda name: (name != WHOLE, name)):
        parts = {WHOLE: network, **dict(network.named_children())}
        if part not in parts:
            raise BenchError(f"init.{part}: the network has no such part, {nearest(part, parts)}")
        weights = _weights(part, init[part], runs)
        _check(parts[part].state_dict(), weights, where=f"init.{part}: run {init[part]}")
        parts[part].load_state_dict(weights)


def _weights(part: str, run_id: str, runs: Path) -> dict[str, Tensor]:
    """The run's tensors of one part, named as that part names them."""
    folder = runs / run_id
    if Path(run_id).name != run_id or not (folder / WEIGHTS).is_file():
        known = [path.parent.name for path in runs.glob(f"*/{WEIGHTS}")]
        hint = nearest(run_id, known) if known else "finish one first"
        raise BenchError(f"init.{part}: no weights of a run {run_id!r} in {runs}, {hint}")
    weights = load_weights(folder)
    if part == WHOLE:
        return weights
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }


def _check(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], *, where: str) -> None:
    for name in [*wanted, *given]:
        if name not in given:
            raise BenchError(f"{where} has no parameter {name!r}: begin with a run of this model")
        if name not in wanted:
            raise BenchError(f"{where} has the parameter {name!r}, which this model lacks")
        ours, theirs = _shape(wanted[name]), _shape(given[name])
        if ours != theirs:
            raise BenchError(f"{where}: {name!r} is of shape {theirs}, this model's is {ours}")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
