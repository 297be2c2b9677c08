"""Labels of settings."""

from __future__ import annotations

from typing import Any

import pytest

from bench.table.groups import setting_labels

TRANSLATED = {"objective.evaluation": "translate"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model.hidden_size": 100, "optim.lr": 0.5}, ["hidden_size=100", "optim.lr=0.5"]),
        ({"model.peephole": None, "data.shuffle": True}, ["peephole=none", "data.shuffle=true"]),
        ({"objective.beam_size": 12}, ["beam 12"]),
        (
            {
                "objective.beam_size": 12,
                **TRANSLATED,
                "objective.evaluation_of": "gru-9d0e",
                "objective.evaluation_models": 1,
            },
            ["beam 12"],
        ),
        (
            {
                **TRANSLATED,
                "objective.evaluation_of": "gru-9d0e[0,1]",
                "objective.evaluation_models": 2,
            },
            ["ensemble of 2: gru-9d0e[0,1]"],
        ),
        (
            {"objective.evaluation": "retrieval", "objective.evaluation_of": "gru-9d0e"},
            ["objective.evaluation=retrieval", "objective.evaluation_of=gru-9d0e"],
        ),
    ],
)
def test_settings_are_labelled_in_words(settings: dict[str, Any], words: list[str]) -> None:
    assert setting_labels(settings) == words
