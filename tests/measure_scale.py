"""How long the commands that read records take over many of them: `python tests/measure_scale.py`.

Every command is a process of its own, interpreter and imports included; the fastest of a few
counts, since other work on the machine slows some of them; so do its seconds of CPU.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record_tree import write_tree

MANY, SOME = 10_000, 1_000
COMMANDS = (
    (MANY, ("table", "toy", "--out", "table.md")),
    (MANY, ("table", "toy", "--cost", "--format", "json", "--out", "table.json")),
    (MANY, ("export", "toy", "--out", "export")),
    (SOME, ("report", "toy", "--out", "report.html")),
)
"""Number of records, and what is timed over them."""


def fastest(folder: Path, words: tuple[str, ...], *, num_rounds: int) -> tuple[float, float]:
    """Seconds of the fastest of several calls of `bench` inside `folder`: by the clock, of CPU."""
    wall, cpu = [], []
    for _ in range(num_rounds):
        begun, used = time.perf_counter(), _children_sec()
        subprocess.run(
            [sys.executable, "-m", "bench", *words], cwd=folder, check=True, capture_output=True
        )
        wall.append(time.perf_counter() - begun)
        cpu.append(_children_sec() - used)
    return min(wall), min(cpu)


def _children_sec() -> float:
    """CPU seconds of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Make the trees, time the commands, print a line for each."""
    parser = argparse.ArgumentParser(description="Time commands over many records.")
    parser.add_argument("--rounds", type=int, default=3)
    num_rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        for num_records in (MANY, SOME):
            folder = Path(name) / str(num_records)
            folder.mkdir()
            write_tree(folder, num_records)
            for number, words in COMMANDS:
                if number == num_records:
                    wall, cpu = fastest(folder, words, num_rounds=num_rounds)
                    taken = f"{wall:6.2f} s ({cpu:.2f} s of CPU)"
                    print(f"{num_records:6,} records  {taken}  bench {' '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
