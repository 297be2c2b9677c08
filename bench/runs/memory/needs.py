"""What stands on a device during a run, part by part, and when it is most.

    between steps    weights, gradients, the optimiser's copies, the best weights so far
    a training step  and activations: what backward reads and what it makes
    an evaluation    and what a batch takes without gradients
    a checkpoint     and the file, built in memory; on a GPU the next best weights beside the last

Gradients stay until the next backward pass begins, so they count throughout.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from bench.core.config import OptimConfig, RunConfig, num_processes
from bench.training.optimiser import sparse_tables


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Bytes on one device."""

    weights: int
    gradients: int
    exchange: int
    """Copies of gradients that several processes add up."""
    optimiser: int
    best_weights: int
    training_step: int
    evaluation: int
    checkpoint: int
    base: int
    """Of the process before any network, libraries and corpus; nothing on a GPU."""
    trains_beside_best: bool
    """Whether there are best weights while there is training; in a single epoch they come after."""

    @property
    def moments(self) -> dict[str, int]:
        """What is held at the times when it may be most."""
        kept = self.base + self.weights + self.gradients + self.exchange + self.optimiser
        during = kept + (self.best_weights if self.trains_beside_best else 0)
        return {
            "in a training step": during + self.training_step,
            "in an evaluation": during + self.evaluation,
            "while a checkpoint is made": kept + self.best_weights + self.checkpoint,
        }

    @property
    def peak(self) -> int:
        """Most that is held at once."""
        return max(self.moments.values())


def needs(
    network: nn.Module,
    config: RunConfig,
    *,
    training_step: int,
    evaluation: int,
    base: int,
    device_type: str,
) -> Needs:
    """What a run of the network needs, whose steps hold so much.

    Sparse gradients are as large as a batch has words, and count in its step.
    """
    trainer = config.trainer
    weights = num_bytes([*network.parameters(), *network.buffers()])
    sparse = [table.weight for table in sparse_tables(config.optim, network)]
    learned = num_bytes(weight for weight in network.parameters() if weight.requires_grad)
    gradients = learned - num_bytes(sparse)
    num_shards = num_processes(trainer) if trainer.strategy == "zero" else 1
    whole_state = optimiser_copies(config.optim) * learned
    optimiser = -(-whole_state // num_shards)
    best_weights = num_bytes(network.state_dict().values())  # a tied weight under both names
    has_several_epochs = trainer.max_epochs > 1
    if device_type == "cpu":
        checkpoint = weights + whole_state + best_weights  # of all shards, in the first process
    else:
        checkpoint = best_weights if has_several_epochs else 0
    return Needs(
        weights=weights,
        gradients=gradients,
        exchange=gradients if num_processes(trainer) > 1 else 0,
        optimiser=optimiser,
        best_weights=best_weights,
        training_step=training_step,
        evaluation=evaluation,
        checkpoint=checkpoint,
        base=base,
        trains_beside_best=has_several_epochs,
    )


def optimiser_copies(config: OptimConfig) -> int:
    """Numbers that the optimiser keeps for each weight."""
    if config.name == "sgd":
        return 1 if config.momentum else 0
    return 2


def num_bytes(tensors: Iterable[Tensor]) -> int:
    """Of all of them together."""
    return sum(tensor.nbytes for tensor in tensors)
