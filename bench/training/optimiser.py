"""Optimisers in the library's fused form, and gradient clipping.

Gradients of embeddings may be sparse: of a vocabulary's words only those of the batch have one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.config import OptimConfig, TrainerConfig
from bench.core.errors import BenchError
from bench.training.collective import num_ranks


def build_optimizer(
    config: OptimConfig, module: nn.Module, *, trainer: TrainerConfig | None = None
) -> torch.optim.Optimizer:
    """The optimiser over all parameters, in the library's fused form where that can be.

    With the strategy `zero` each process keeps the state of its part of the parameters alone (S.
    Rajbhandari et al., "ZeRO", SC 2020, stage 1) and tells the others what became of them.
    """
    trainer = trainer or TrainerConfig()
    # A fused optimiser would undo the loss's scale itself, after clipping.
    is_fused = trainer.precision != "16-mixed"
    kind, settings = _library_optimizer(config)
    groups = _groups(config, module, is_fused=is_fused)
    if trainer.strategy == "zero" and num_ranks() > 1:
        from torch.distributed.optim import ZeroRedundancyOptimizer

        sharded: torch.optim.Optimizer = ZeroRedundancyOptimizer(
            groups, optimizer_class=kind, **settings
        )
        return sharded
    return kind(groups, **settings)


def _library_optimizer(config: OptimConfig) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    settings: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.name == "sgd":
        return torch.optim.SGD, {**settings, "momentum": config.momentum}
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind, {**settings, "betas": (config.beta1, config.beta2), "eps": config.epsilon}


def _groups(config: OptimConfig, module: nn.Module, *, is_fused: bool) -> list[dict[str, Any]]:
    """Parameters with gradients of one kind: no fused optimiser takes sparse ones."""
    sparse = sparse_tables(config, module)
    names = {id(table.weight) for table in sparse}
    dense = [p for p in module.parameters() if p.requires_grad and id(p) not in names]
    groups: list[dict[str, Any]] = [{"params": dense, "fused": is_fused}]
    if sparse:
        groups.append({"params": [table.weight for table in sparse], "fused": False})
    return groups


def sparse_tables(config: OptimConfig, module: nn.Module) -> list[nn.Embedding]:
    """The embeddings whose gradients are to be sparse; they are told so.

    Raises BenchError where that would change what is learned: every other optimiser moves words
    that a batch does not have.
    """
    if config.embedding_gradients == "dense":
        return []
    if config.name != "sgd" or config.momentum or config.weight_decay:
        raise BenchError(
            "optim.embedding_gradients is sparse, but only plain SGD leaves words alone that a "
            "batch does not have: add --optim.name sgd without momentum and weight decay"
        )
    tables = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    uses = [id(p) for part in module.modules() for p in part.parameters(recurse=False)]
    if any(uses.count(id(table.weight)) > 1 for table in tables):
        raise BenchError(
            "optim.embedding_gradients is sparse, but an output layer shares the table and needs "
            "every word's: choose --objective.embeddings separate"
        )
    for table in tables:
        table.sparse = True
    return tables


def clip_gradients(config: OptimConfig, parameters: list[nn.Parameter]) -> Tensor:
    """Clip in place as configured; the total norm before clipping (Pascanu et al., 2013)."""
    limit = config.clip_at if config.clip == "norm" else float("inf")
    gradients = entries(parameters)
    norm = nn.utils.get_total_norm(gradients, foreach=True)
    if limit < math.inf:
        torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
    if config.clip == "value":
        torch._foreach_clamp_min_(gradients, -config.clip_at)
        torch._foreach_clamp_max_(gradients, config.clip_at)
    return norm


def exceeds_value(limit: float, parameters: list[nn.Parameter]) -> bool:
    """Return True where a gradient has an entry beyond `limit` in size."""
    return float(nn.utils.get_total_norm(entries(parameters), norm_type=math.inf)) > limit


def entries(parameters: list[nn.Parameter]) -> list[Tensor]:
    """The gradients as they stand in memory, to be changed there; of sparse ones their values."""
    found = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            found.append(parameter.grad._values())
        else:
            found.append(parameter.grad)
    return found


# The learning rate over epochs, and when to stop; validation decides, exactly resumable.


class Schedule:
    """Learning rate and stopping after the papers' rules.

    constant  lr
    plateau   lr / shrink^k, k grows when a validation loss exceeds threshold x the best so far
              (Mikolov et al., 2014)
    linear    lr (1 - place / max_epochs), place in epochs and fractions of one
    epochs    lr / shrink^(epoch - shrink_after) once shrink_after epochs are over
              (Zaremba et al., 2014)
    """

    def __init__(self, config: OptimConfig, *, max_epochs: int, stop_after: int = 0) -> None:
        self.config = config
        self.max_epochs = max_epochs
        self.stop_after = stop_after
        self.best = float("inf")
        self.num_shrinks = 0
        self.num_stalls = 0
        self.stalled = False

    def lr(self, place: float) -> float:
        """The learning rate at `place`, counted in epochs from 0."""
        config = self.config
        if config.schedule == "linear":
            return config.lr * max(0.0, 1.0 - place / self.max_epochs)
        if config.schedule == "epochs":
            return config.lr / config.shrink ** max(0, int(place) + 1 - config.shrink_after)
        return float(config.lr / config.shrink**self.num_shrinks)

    def report(self, loss: float) -> bool:
        """Take in a validation loss in nats; true when it is the best so far."""
        self.stalled = loss > self.best * self.config.threshold
        improved = loss < self.best
        self.best = min(self.best, loss)
        self.num_stalls = 0 if improved else self.num_stalls + 1
        if self.stalled and self.config.schedule == "plateau":
            self.num_shrinks += 1
        return improved

    @property
    def returns_to_best(self) -> bool:
        """True where the last report asks for the best weights again."""
        config = self.config
        return self.stalled and config.schedule == "plateau" and config.back_to_best

    @property
    def finished(self) -> bool:
        """True where validation has not improved for `stop_after` times in a row."""
        return self.stop_after > 0 and self.num_stalls >= self.stop_after

    def state_dict(self) -> dict[str, Any]:
        """State that a resumed run needs."""
        return {"best": self.best, "num_shrinks": self.num_shrinks, "num_stalls": self.num_stalls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.best = state["best"]
        self.num_shrinks = state["num_shrinks"]
        self.num_stalls = state["num_stalls"]


# Gaussian noise on the weights, drawn anew for each batch.
#
# A. Graves, A. Mohamed and G. Hinton, ICASSP 2013, section 4, after K. Jim, C. Giles and B. Horne
# (IEEE Trans. Neural Networks 7, 1996): the gradient is taken at w + e, e ~ N(0, std^2), the step
# is made from w.


class WeightNoise:
    """Adds noise to weights and takes it away again, to the last bit."""

    def __init__(self) -> None:
        self._clean: list[tuple[nn.Parameter, Tensor]] = []

    @torch.no_grad()
    def add(self, parameters: Iterable[nn.Parameter], std: float) -> None:
        """Draw from torch's global random state and add; nothing is drawn for a std of zero."""
        self.remove()
        if std > 0:
            self._clean = [(parameter, parameter.clone()) for parameter in parameters]
            for parameter, _ in self._clean:
                parameter.add_(torch.randn_like(parameter), alpha=std)

    @torch.no_grad()
    def remove(self) -> None:
        """Put back the weights as they were."""
        for parameter, clean in self._clean:
            parameter.copy_(clean)
        self._clean = []
