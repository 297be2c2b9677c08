"""Summary printed after a run: value, difference to published values, cost, record."""

from __future__ import annotations

from bench.core.record import Record
from bench.core.suite import Suite
from bench.table import task_table


def summary(record: Record, suite: Suite) -> str:
    """Summary of a run that has ended."""
    lines = [f"{record.task} · {record.model} · seed {record.seed}"]
    if record.status == "diverged" and record.divergence is not None:
        where = record.divergence
        lines.append(
            f"  diverged in epoch {where.epoch + 1} at step {where.step}, gradient norm "
            f"{where.gradient_norm:.3g}: try a smaller --optim.lr or --optim.clip-at"
        )
    else:
        lines += _values(record, suite)
    cost = record.cost
    speed = f", {cost.tokens_per_sec:,.0f} {cost.unit}s/s" if cost.tokens_per_sec else ""
    memory = f", {cost.peak_memory_bytes / 1e9:.2f} GB" if cost.peak_memory_bytes else ""
    lines.append(f"  {cost.num_parameters:,} parameters, {cost.seconds:,.0f} s{speed}{memory}")
    lines.append(f"  record  {suite.record_path(record.task, record.id)}")
    return "\n".join(lines)


def _values(record: Record, suite: Suite) -> list[str]:
    test, valid = record.metrics["test"], record.metrics.get("valid")
    validation = "" if valid is None else f" (validation {valid:.2f})"
    lines = [f"  test {record.metric} {test:.2f}{validation}"]
    if record.bound is not None:
        # The side tells a fault: no honest model is on the other side of the bound.
        side = "below" if test < record.bound else "above"
        distance = f"{abs(test - record.bound):.2f} {side} the best possible"
        lines.append(f"  bound {record.bound:.2f}: {distance}")
    lines += [
        f"  beside  {values['test']:.2f}  {signature}"
        for signature, values in record.beside.items()
        if "test" in values
    ]
    rows = task_table(suite, record.task).rows
    mine = [row for row in rows if record.id in row.records and row.published is not None]
    lines += [f"  published {row.published:g} ({row.label}): {row.difference:+.2f}" for row in mine]
    return lines
