"""`bench translate`: finished runs translate lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def translate(
    *,
    run: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    beam: int | None = None,
    length_penalty: Literal["none", "average", "gnmt"] | None = None,
    alpha: float | None = None,
    replace_unknown: Literal["never", "aligned"] | None = None,
    num_best: int = 1,
    format: Literal["text", "moses", "json"] | None = None,
    attention: Path | None = None,
    heat_maps: Path | None = None,
    reference: Path | None = None,
    device: Literal["cpu", "gpu", "auto"] = "cpu",
    suite: Path = Path(),
) -> None:
    """Translate the lines of standard input by a finished run, or by several as an ensemble.

    An ensemble averages the probabilities of its models at every word; their vocabularies must be
    equal. What is not given is as the first run was measured. Sentences are counted from 0.

        bench translate --run gru-9d0e < newstest2014.en > out.fr
        bench translate --run gru-9d0e-s1 --run gru-9d0e-s2 --beam 12 --num-best 12 < in > lists
        bench translate --run gru-9d0e --attention weights.jsonl --heat-maps maps < in > out

    Parameters
    ----------
    run
        Name of a finished run of a translation task, or how it begins; again for each model of an
        ensemble. See `bench list runs`.
    beam
        Translations that the search keeps in sight; 1 is greedy.
    length_penalty
        What divides log-probabilities of finished translations: nothing, the length, or GNMT's
        penalty.
    alpha
        Exponent of GNMT's penalty.
    replace_unknown
        aligned: an unknown word becomes the source word that attention points to.
    num_best
        Translations a line, best first; no more than the beam.
    format
        text: one line a sentence; moses: `id ||| text ||| log_prob= number ||| score`; json: the
        same as JSON lines, with the words between blanks. text for one translation a line and
        moses for more, unless given.
    attention
        Write the attention weights of the best translations to this file, as JSON lines.
    heat_maps
        Draw them into this folder, a picture a sentence.
    reference
        Plain reference translations: scores, with their signatures, go to standard error.
    device
        Where the models compute; auto is a GPU where there is one.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    import sys

    from bench.core.suite import Suite

    place = Suite.at(suite)  # a typing error need not wait for torch
    from bench.translation.inference.runs import Wishes
    from bench.translation.inference.work import Wanted, translate_lines

    wishes = Wishes(
        beam_size=beam, length_penalty=length_penalty, alpha=alpha, replace_unknown=replace_unknown
    )
    wanted = Wanted(
        form=format or ("text" if num_best == 1 else "moses"),
        num_best=num_best,
        attention=attention,
        heat_maps=heat_maps,
        reference=reference,
    )
    for line in translate_lines(place, run, sys.stdin.buffer, wishes, wanted, device=device):
        print(line, flush=sys.stdout.isatty())
