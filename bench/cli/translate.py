"""`bench translate`: finished runs translate lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bench.cli.numbers import OptionalWhole, Whole


def translate(
    *,
    run: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    beam: OptionalWhole = None,
    length_penalty: Literal["none", "average", "gnmt"] | None = None,
    alpha: float | None = None,
    replace_unknown: Literal["never", "aligned"] | None = None,
    num_best: Whole = 1,
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
    from bench.translation.evaluation import TranslationOverrides
    from bench.translation.translate import OutputOptions, translate_lines

    overrides = TranslationOverrides(
        beam_size=beam, length_penalty=length_penalty, alpha=alpha, replace_unknown=replace_unknown
    )
    output = OutputOptions(
        format=format or ("text" if num_best == 1 else "moses"),
        num_best=num_best,
        attention=attention,
        heat_maps=heat_maps,
        reference=reference,
    )
    for line in translate_lines(place, run, sys.stdin.buffer, overrides, output, device=device):
        print(line, flush=sys.stdout.isatty())


# `bench rescore`: the n-best lists of another system in a new order.


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
    from bench.translation.rescoring import parse_weights

    place, weights = Suite.at(suite), parse_weights(weight)
    from bench.translation.translate import rescored_lines

    lines = rescored_lines(
        place,
        run,
        sys.stdin.buffer,
        source=source,
        weights=weights,
        format=format,
        reference=reference,
        device=device,
    )
    for line in lines:
        print(line)
