"""`bench rescore`: the n-best lists of another system in a new order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def rescore(
    *,
    source: Path,
    run: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    weight: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    format: Literal["moses", "text"] = "moses",
    reference: Path | None = None,
    device: Literal["cpu", "gpu", "auto"] = "cpu",
    suite: Path = Path(),
) -> None:
    """Put the n-best lists of another system into a new order.

    Standard input has the lists in Moses' format, `id ||| text ||| features ||| score`, with the
    sentences of --source counted from 0. The new score is a weighted sum of the system's own and of
    log p(translation | source) by the runs, an even average unless --weight says otherwise
    (Sutskever, Vinyals and Le, 2014, table 2). Out come the lists, best first, with `model=` among
    the features and the new score.

        bench rescore --run lstm-9d0e --source newstest2014.en < lists > rescored
        bench rescore --run lstm-9d0e --run lstm-77aa --source in.en --format text < lists > out.fr
        bench rescore --run lstm-9d0e --source in.en --weight score=1 --weight model=0.3 < lists

    Parameters
    ----------
    source
        The sentences that the lists translate, one a line.
    run
        Name of a finished run of a translation task, or how it begins; again for each model of an
        ensemble.
    weight
        name=number, again for each: `score` is the system's own, `model` the runs'
        log-probability, `length` the number of words, any other a feature of the lists, its k-th
        value `name.k`.
    format
        moses: all of each list; text: the best of each, one line a sentence.
    reference
        Plain reference translations: scores of the best, with their signatures, go to standard
        error.
    device
        Where the models compute; auto is a GPU where there is one.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    import sys

    from bench.core.suite import Suite
    from bench.translation.inference.rescoring import parse_weights

    place, weights = Suite.at(suite), parse_weights(weight)
    from bench.translation.inference.work import rescored_lines

    lines = rescored_lines(
        place,
        run,
        sys.stdin.buffer,
        source=source,
        weights=weights,
        form=format,
        reference=reference,
        device=device,
    )
    for line in lines:
        print(line)
