"""An estimate of memory as a table: part by part, then the peak and when it is."""

from __future__ import annotations

from bench.cli.listing import aligned
from bench.runs.memory.needs import Needs


def memory_table(needs: Needs, *, host_bytes: int, device_type: str) -> str:
    """The parts of one device; those of different moments do not add up to the peak."""
    on_cpu = device_type == "cpu"
    parts = [
        ("weights", needs.weights, ""),
        ("gradients", needs.gradients, ""),
        ("exchange", needs.exchange, "gradients that the processes add up"),
        ("optimiser", needs.optimiser, "what it keeps of each weight"),
        ("best weights", needs.best_weights, "of the best validation so far"),
        ("training step", needs.training_step, "activations of the largest batch"),
        ("evaluation", needs.evaluation, "of its largest batch, without gradients"),
        ("checkpoint", needs.checkpoint, "in the making" if on_cpu else "best weights replaced"),
        ("base", host_bytes, "libraries and corpus" + ("" if on_cpu else ", not on the device")),
    ]
    when = max(needs.moments, key=needs.moments.__getitem__)
    shown = [part for part in parts if part[1] or part[0] not in ("exchange", "optimiser")]
    shown.append(("estimated peak", needs.peak, when))
    sizes = in_one_unit([num_bytes for _, num_bytes, _ in shown])
    rows = [(name, size, what) for (name, _, what), size in zip(shown, sizes, strict=True)]
    return aligned(("memory", "a device".rjust(len(sizes[0])), ""), rows)


def in_one_unit(numbers: list[int]) -> list[str]:
    """Bytes in MB, or in GB where one is 10 GB or more, with their points under each other."""
    unit, scale = ("GB", 1e9) if max(numbers) >= 1e10 else ("MB", 1e6)
    shown = [f"{num_bytes / scale:,.1f} {unit}" for num_bytes in numbers]
    width = max(map(len, shown))
    return [size.rjust(width) for size in shown]
