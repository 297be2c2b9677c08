"""Where a speech corpus lies: a named folder, or $BENCH_DATA, then the cache."""

from __future__ import annotations

import os
from pathlib import Path

from bench.core.errors import BenchError
from bench.data.sources import cache_folder
from bench.speech.data.specification import SpeechSpec


def candidate_folders(spec: SpeechSpec, path: Path | None = None) -> list[Path]:
    """Where the corpus may lie, in the order in which it is looked for."""
    if path is not None:
        return [path]
    data = os.environ.get("BENCH_DATA")
    return [*([Path(data) / spec.folder] if data else []), cache_folder() / spec.folder]


def find_folder(
    spec: SpeechSpec, *, task: str, twin: str | None = None, path: Path | None = None
) -> Path:
    """The first of them that is there; what it holds is not looked at.

    Raises one BenchError that says where to get the corpus, where to put it, and which `twin` task
    needs no file.
    """
    folders = candidate_folders(spec, path)
    for folder in folders:
        if folder.is_dir():
            return folder
    places = " or ".join(str(folder) for folder in folders)
    hints = [f"get it from {spec.obtain} and put it in {places}"]
    if "BENCH_DATA" not in os.environ:
        hints.append(f"set BENCH_DATA to the folder that holds {spec.folder}/")
    if twin is not None:
        hints.append(f"run `--task {twin}`, its twin that needs no file")
    raise BenchError(f"{task}: the corpus is missing: " + "; or ".join(hints))
