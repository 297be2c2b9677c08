"""Pictures of records, by matplotlib: the extra `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.record import Record


def learning_curves(card: Card, records: list[Record], path: Path) -> None:
    """Draw validation over epochs, one line a run, and the bound where it is known.

    The format follows from the name of `path`: .png, .svg or .pdf.
    """
    drawn = [record for record in records if record.curve]
    if not drawn:
        raise BenchError(f"{card.task} has no finished run with a learning curve: bench run first")
    figure, [[axes]] = new_figure()
    models = sorted({record.model for record in drawn})
    for record in sorted(drawn, key=lambda record: (record.model, record.id)):
        epochs = [point.epoch for point in record.curve]
        values = [point.valid for point in record.curve]
        first = record is _first(drawn, record.model)
        label = record.model if first else None
        axes.plot(
            epochs, values, color=f"C{models.index(record.model)}", label=label, linewidth=1.6
        )
        if first:
            place = (epochs[-1], values[-1])
            axes.annotate(
                f"{values[-1]:.1f}", place, fontsize=8, xytext=(4, -2), textcoords="offset points"
            )
    bounds = {record.bound for record in drawn if record.bound is not None}
    for bound in bounds:
        axes.axhline(bound, color="0.4", linestyle=":", linewidth=1, label="best possible (test)")
    log_scale(axes.yaxis, axes.set_yscale)
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"validation {card.metric.name}")
    axes.set_title(card.title, fontsize=10, loc="left")
    axes.legend(frameon=False)
    save_figure(figure, path)


def _first(records: list[Record], model: str) -> Record:
    return min((record for record in records if record.model == model), key=lambda r: r.id)


def new_figure(
    *, num_rows: int = 1, num_columns: int = 1, width: float = 6.4, height: float = 3.6
) -> tuple[Any, list[list[Any]]]:
    """A figure of this suite's looks and its axes, row by row; sizes in inches."""
    try:
        import matplotlib
    except ImportError:
        raise BenchError("pictures need matplotlib: pip install 'sequence-bench[plot]'") from None
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="tight" if num_rows * num_columns > 1 else None)
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, [list(row) for row in grid]


def save_figure(figure: Any, path: Path) -> None:
    """Write the picture; the format follows from the name of `path`: .png, .svg or .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(
        path, dpi=150, bbox_inches="tight", metadata={} if path.suffix == ".png" else None
    )


def log_scale(axis: Any, set_scale: Any) -> None:
    """A logarithmic axis with plain numbers at its ticks."""
    set_scale("log")
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}")
