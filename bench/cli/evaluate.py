"""`bench evaluate`: finished networks measured in another way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter


def evaluate(
    *runs: str,
    mode: Literal["dynamic", "neural-cache", "translate"],
    tune: Annotated[bool, Parameter(negative=())] = False,
    lr: float | None = None,
    segment_length: int | None = None,
    theta: float | None = None,
    window: int | None = None,
    share: float | None = None,
    beam: int | None = None,
    length_penalty: Literal["none", "average", "gnmt"] | None = None,
    alpha: float | None = None,
    replace_unknown: Literal["never", "aligned"] | None = None,
    device: Literal["cpu", "gpu", "auto"] = "cpu",
    again: Annotated[bool, Parameter(negative=())] = False,
    track: Literal["wandb", "none"] = "wandb",
    suite: Path = Path(),
) -> None:
    """Evaluate finished networks in another way, recorded as a run of its own.

    Language models adapt to the text which they have predicted; options are chosen on validation
    text only, test is read once, and the signature never shares a column with static evaluation.
    Translation models search otherwise, several of them as an ensemble that averages their
    probabilities; what is not given is as the first run was measured.

        bench evaluate srn-5f6a7b8c-s1 --mode dynamic --tune
        bench evaluate lstm-9d0e --mode neural-cache --theta 0.3 --window 2000
        bench evaluate gru-77aa-s1 gru-77aa-s2 --mode translate --beam 12

    Parameters
    ----------
    runs
        Name of a finished run, or how it begins; of several for an ensemble. See `bench list runs`.
    mode
        dynamic: a step of gradient descent after each segment; neural-cache: words that followed
        similar hidden states become more likely; translate: another search or an ensemble.
    tune
        Choose the options that are not given on validation, from a small grid.
    lr
        Of dynamic: step along the gradient of a segment's summed loss.
    segment_length
        Of dynamic: tokens between updates.
    theta
        Of neural-cache: sharpness of the comparison of states.
    window
        Of neural-cache: states in the cache.
    share
        Of neural-cache: its weight; chosen on validation unless given.
    beam
        Of translate: translations that the search keeps in sight; 1 is greedy.
    length_penalty
        Of translate: what divides log-probabilities of finished translations.
    alpha
        Of translate: exponent of GNMT's penalty.
    replace_unknown
        Of translate: aligned replaces an unknown word by the source word that attention points to.
    device
        Of translate: where the models compute.
    again
        Throw away the record of this evaluation first.
    track
        Mirror into W&B (offline, unless WANDB_MODE says otherwise) or nowhere.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.run import Manners
    from bench.suite import Suite
    from bench.summary import summary

    of_text = _given(lr=lr, segment_length=segment_length, theta=theta, window=window, share=share)
    of_translation = _given(
        beam_size=beam, length_penalty=length_penalty, alpha=alpha, replace_unknown=replace_unknown
    )
    place = Suite.at(suite)
    manners = Manners(track=track, again=again, busy=lambda line: print(line, file=sys.stderr))
    if mode == "translate":
        _refuse(of_text, mode)
        from bench.translate.evaluation import evaluate_translators
        from bench.translate.runs import Wishes

        wishes = Wishes(**of_translation)
        record = evaluate_translators(place, runs, wishes, device=device, manners=manners)
    else:
        _refuse(of_translation, mode)
        from bench.evaluation import evaluate_run

        others: Literal["default", "tuned"] = "tuned" if tune else "default"
        record = evaluate_run(place, _one(runs), mode, of_text, others=others, manners=manners)
        print(", ".join(f"{name} {value:g}" for name, value in record.extra.items()))
    print(summary(record, place))


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse(options: dict[str, Any], mode: str) -> None:
    """Raise BenchError for options that another mode has."""
    from bench.errors import BenchError

    for name in options:
        option = "--beam" if name == "beam_size" else f"--{name.replace('_', '-')}"
        raise BenchError(f"{option} is not an option of --mode {mode}")


def _one(runs: tuple[str, ...]) -> str:
    from bench.errors import BenchError

    if len(runs) != 1:
        raise BenchError(f"name one finished run, not {len(runs)}; see `bench list runs`")
    return runs[0]
