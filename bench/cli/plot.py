"""`bench plot`: learning curves as a picture."""

from __future__ import annotations

from pathlib import Path


def plot(task: str, *, out: Path | None = None, suite: Path = Path()) -> None:
    """Draw the learning curves of a task's runs.

    One line for each run, and the best possible value where it is known.

        bench plot synthetic-text
        bench plot ptb --out curves.svg

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    out
        Picture to write, .png, .svg or .pdf; `artifacts/<task>/curves.png` unless given.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    from bench.core.errors import BenchError
    from bench.core.figures import learning_curves
    from bench.core.suite import Suite

    place = Suite(folder=suite)
    path = out or suite / "artifacts" / task / "curves.png"
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise BenchError(f"{path}: name a .png, .svg or .pdf file")
    learning_curves(place.card(task), place.records(task), path)
    print(path)
