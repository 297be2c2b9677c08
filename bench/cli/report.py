"""`bench report`: everything that was measured, as one page to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bench.cli.numbers import Whole

if TYPE_CHECKING:
    from bench.core.suite import Suite


def report(
    *tasks: str,
    out: Path = Path("report.html"),
    serve: Annotated[bool, Parameter(negative=())] = False,
    port: Whole = 8765,
    wandb: str | None = None,
    suite: Path = Path(),
) -> None:
    """Write the report of all tasks that have rows, or of some, as one HTML file.

    Tables with verdicts, learning curves, costs, sweeps, diagnoses, samples and a page for each
    run; everything is inside the file, and nothing is fetched. Samples need the artifacts of the
    runs, captioned images the images, too.

        bench report
        bench report ptb flickr8k --out ptb.html
        bench report --serve --port 8000
        bench report ptb --wandb my-team/my-project

    Parameters
    ----------
    tasks
        Names of cards; all that have published rows or records, unless given.
    out
        The file to write.
    serve
        Serve the report on 127.0.0.1 instead; the page follows the runs.
    port
        Of --serve; 0 for any that is free.
    wandb
        ENTITY/PROJECT: build a W&B report there instead, from runs that were mirrored to it.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.core.errors import BenchError
    from bench.core.record import write_atomically
    from bench.core.suite import Suite
    from bench.report import build_report

    place = Suite.at(suite)
    if serve and wandb is not None:
        raise BenchError("--serve or --wandb, not both")
    if wandb is not None:
        print(_publish(place, tasks, wandb))
        return
    if serve:
        from bench.report.serve import serve as serve_report

        serve_report(
            place,
            tasks,
            port=port,
            ready=lambda address: print(f"{address} (Ctrl-C ends it)", file=sys.stderr, flush=True),
        )
        return
    try:
        write_atomically(out, build_report(place, tasks).encode())
    except OSError as error:
        raise BenchError(f"--out {out}: cannot write there ({error.strerror})") from None
    print(out)


def _publish(place: Suite, tasks: tuple[str, ...], target: str) -> str:
    """The address of the W&B report that was built."""
    from bench.tracking.options import split_place
    from bench.tracking.wandb_report import publish_report

    entity, project = split_place(target)
    return publish_report(place, tasks, entity=entity, project=project)
