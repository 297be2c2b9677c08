"""Optimisers in the library's fused form, and gradient clipping."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.config import OptimConfig


def build_optimizer(config: OptimConfig, module: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimiser over all parameters, in the library's fused form."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    if config.name == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(
        parameters,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=True,
    )


def clip_gradients(config: OptimConfig, parameters: list[torch.nn.Parameter]) -> Tensor:
    """Clip in place as configured; the total norm before clipping (Pascanu et al., 2013)."""
    limit = config.clip_at if config.clip == "norm" else float("inf")
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=True)
    if config.clip == "value":
        torch.nn.utils.clip_grad_value_(parameters, config.clip_at)
    return norm


def exceeds_value(limit: float, parameters: list[torch.nn.Parameter]) -> bool:
    """Whether any gradient has an entry beyond `limit` in size."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients, norm_type=math.inf)) > limit
