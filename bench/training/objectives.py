"""The objectives by name: one LightningModule a kind of task, any recurrence inside it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from bench.core.errors import BenchError, nearest

if TYPE_CHECKING:
    from bench.core.structs import Frozen
    from bench.training.objective import Objective

OBJECTIVES = {
    "captioning": "bench.captioning.objectives.captioning:CaptioningObjective",
    "ctc": "bench.speech.objectives.ctc:CTC",
    "frame-prediction": "bench.frames.objective:FramePrediction",
    "language-model": "bench.text.objective:LanguageModel",
    "next-label": "bench.speech.objectives.transducer:NextLabel",
    "ranking": "bench.captioning.objectives.ranking:RankingObjective",
    "transducer": "bench.speech.objectives.transducer:Transducer",
    "translation": "bench.translation.objective:TranslationObjective",
}


def objective_class(name: str) -> type[Objective]:
    """The class of the objective `name`; this imports torch and Lightning."""
    if name not in OBJECTIVES:
        raise BenchError(f"unknown objective {name!r}, {nearest(name, OBJECTIVES)}")
    module, _, attribute = OBJECTIVES[name].partition(":")
    return cast("type[Objective]", getattr(importlib.import_module(module), attribute))


def objective_options(name: str) -> type[Frozen]:
    """The frozen, strict struct of the options of the objective `name`."""
    return objective_class(name).Options
