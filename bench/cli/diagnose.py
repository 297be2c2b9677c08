"""`bench diagnose`: what a network remembers, made visible."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from bench.cli.numbers import OptionalWhole, Whole
from bench.cli.settings import (
    DataSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimSettings,
    TrainerSettings,
    tree,
)


def diagnose(
    *runs: str,
    task: str | None = None,
    model: str | None = None,
    model_: ModelSettings = None,
    recipe: str | None = None,
    seed: OptionalWhole = None,
    config: Path | None = None,
    objective: ObjectiveSettings = None,
    optim: OptimSettings = None,
    trainer: TrainerSettings = None,
    data: DataSettings = None,
    max_distance: Whole = 50,
    num_positions: Whole = 5000,
    picture: Literal["none"] | Path | None = None,
    suite: Path = Path(),
) -> None:
    """Show how gradients fade back in time and how much history a network uses.

    Finished runs side by side, or the run that the options of `bench run` name, which is trained
    first if it has not been. Numbers go to `artifacts/<task>/<run>/diagnosis.json`.

        bench diagnose srn-5f6a7b8c-s1 lstm-9d0e1f2a-s1 scrn-3b4c5d6e-s1
        bench diagnose --task synthetic-text --model scrn
        bench diagnose lstm-9d0e --max-distance 100 --picture lstm.svg

    Parameters
    ----------
    runs
        Names of finished runs, or how they begin; see `bench list runs`.
    task
        Without RUNS: name of a card.
    model
        Without RUNS: name of an architecture.
    recipe
        A named recipe of the card instead of the model's own.
    seed
        Of weights, dropout and everything else that is drawn.
    config
        YAML file of settings; the command line stands above it.
    max_distance
        Steps back in time that gradients are followed.
    num_positions
        Words of the validation text that are predicted from cut histories.
    picture
        Where to draw it, .png, .svg or .pdf; none for no picture; beside the numbers, unless given.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.core.errors import BenchError
    from bench.core.suite import Suite
    from bench.runs.finished import find_run
    from bench.text.diagnoses import as_table, diagnosis_path, draw
    from bench.text.diagnosis import Effort
    from bench.text.diagnosis import diagnose as look_into

    place = Suite.at(suite)
    settings = tree(
        seed, model=model_, objective=objective, optim=optim, trainer=trainer, data=data
    )
    if runs and (task or model or recipe or config or settings):
        raise BenchError("name finished runs, or the --task and --model of one, not both")
    if not runs and task is None:
        raise BenchError("name a finished run, or give --task and --model")
    if isinstance(picture, Path) and picture.suffix not in (".png", ".svg", ".pdf"):
        raise BenchError(f"--picture {picture}: name a .png, .svg or .pdf file, or none")
    names = runs or (_trained(place, task, model, recipe, config, settings),)
    effort = Effort(max_distance=max_distance, num_positions=num_positions)
    found = [look_into(place, name, effort) for name in names]
    print(as_table(found))
    beside = diagnosis_path(place, find_run(place, found[0].run).record)
    if picture != "none":
        path = picture or beside.with_suffix(".png")
        draw(found, path)
        print(f"picture {path}")
    print(f"numbers {beside}")


def _trained(
    place: Any,
    task: str | None,
    model: str | None,
    recipe: str | None,
    config: Path | None,
    settings: dict[str, Any],
) -> str:
    """The name of the run that the options mean, trained if it has not been."""
    from bench.core.cards import require_text
    from bench.runs.resolve import resolve
    from bench.runs.run import RunOptions, run

    assert task is not None
    require_text(place.card(task), "diagnose")
    resolved = resolve(place, task, model=model, recipe=recipe, file=config, overrides=settings)
    style: Any = "live" if sys.stderr.isatty() else "plain"
    run_options = RunOptions(style=style, busy=lambda line: print(line, file=sys.stderr))
    return run(resolved, place, run_options).id
