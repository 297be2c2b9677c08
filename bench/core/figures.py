"""Figures by matplotlib, the extra `plot`: learning curves, and parts for other figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.record import Record


def plot_learning_curves(card: Card, records: list[Record], path: Path) -> None:
    """Plot validation over epochs, one line per run, and the bound if known.

    The format follows from the suffix of `path`: .png, .svg or .pdf.
    """
    drawn = [record for record in records if record.curve]
    if not drawn:
        raise BenchError(f"{card.task} has no finished run with a learning curve: bench run first")
    figure, [[axes]] = new_figure()
    models: list[str] = []
    for record in sorted(drawn, key=lambda record: (record.model, record.id)):
        epochs = [point.epoch for point in record.curve]
        values = [point.valid for point in record.curve]
        is_first = record.model not in models
        if is_first:
            models.append(record.model)
            end = (epochs[-1], values[-1])
            axes.annotate(
                f"{values[-1]:.1f}", end, fontsize=8, xytext=(4, -2), textcoords="offset points"
            )
        label = record.model if is_first else None
        axes.plot(epochs, values, color=f"C{len(models) - 1}", label=label, linewidth=1.6)
    for bound in {record.bound for record in drawn if record.bound is not None}:
        axes.axhline(bound, color="0.4", linestyle=":", linewidth=1, label="best possible (test)")
    log_scale(axes.yaxis, axes.set_yscale)
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"validation {card.metric.name}")
    axes.set_title(card.title, fontsize=10, loc="left")
    axes.legend(frameon=False)
    save_figure(figure, path)


def new_figure(
    *, num_rows: int = 1, num_columns: int = 1, width: float = 6.4, height: float = 3.6
) -> tuple[Any, list[list[Any]]]:
    """Create a figure in the house style and its axes, row by row; sizes in inches."""
    try:
        import matplotlib
    except ImportError:
        raise BenchError("figures need matplotlib: pip install 'sequence-bench[plot]'") from None
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
    """Save the figure; the format follows from the suffix of `path`: .png, .svg or .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(
        path, dpi=150, bbox_inches="tight", metadata={} if path.suffix == ".png" else None
    )


def log_scale(axis: Any, set_scale: Any) -> None:
    """Make an axis logarithmic with plain numbers at its ticks."""
    set_scale("log")
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}")
