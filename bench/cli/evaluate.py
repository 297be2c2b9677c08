"""`bench evaluate`: finished networks measured in another way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bench.cli.settings import Track, TrackSettings, track_options

if TYPE_CHECKING:
    from bench.core.record import Record
    from bench.core.suite import Suite
    from bench.runs.run import RunOptions

_OF_TEXT = ("tune", "lr", "segment_length", "theta", "window", "share")
_OF_SEARCH = ("beam_size", "length_penalty", "alpha")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "dynamic": _OF_TEXT,
    "neural-cache": _OF_TEXT,
    "translate": (*_OF_SEARCH, "replace_unknown"),
    "caption": _OF_SEARCH,
    "retrieval": (),
}


def evaluate(
    *runs: str,
    mode: Literal["dynamic", "neural-cache", "translate", "caption", "retrieval"],
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
    track: Track = "wandb",
    track_: TrackSettings = None,
    suite: Path = Path(),
) -> None:
    """Evaluate finished networks in another way, recorded as a run of its own.

    Language models adapt to the text which they have predicted; options are chosen on validation
    text only, test is read once, and the signature never shares a column with static evaluation.
    Translation models and captioners search otherwise, several of them as an ensemble that averages
    their probabilities; what is not given is as the first run was measured. Captioners also rank
    the captions of the test images for each image, and the images for each caption.

        bench evaluate srn-5f6a7b8c-s1 --mode dynamic --tune
        bench evaluate lstm-9d0e --mode neural-cache --theta 0.3 --window 2000
        bench evaluate gru-77aa-s1 gru-77aa-s2 --mode translate --beam 12
        bench evaluate gru-3c4d-s1 gru-3c4d-s2 gru-3c4d-s3 --mode caption --beam 5
        bench evaluate gru-3c4d-s1 --mode retrieval

    Parameters
    ----------
    runs
        Name of a finished run, or how it begins; of several for an ensemble. See `bench list runs`.
    mode
        dynamic: a step of gradient descent after each segment; neural-cache: words that followed
        similar hidden states become more likely; translate and caption: another search or an
        ensemble; retrieval: ranking by log p(caption | image), R@1, R@5, R@10 and median rank.
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
        Of translate and caption: sequences that the search keeps in sight; 1 is greedy.
    length_penalty
        Of translate and caption: what divides log-probabilities of what is finished.
    alpha
        Of translate and caption: exponent of GNMT's penalty.
    replace_unknown
        Of translate: aligned replaces an unknown word by the source word that attention points to.
    device
        Of translate, caption and retrieval: where the models compute.
    again
        Throw away the record of this evaluation first.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.core.suite import Suite
    from bench.runs.run import RunOptions
    from bench.table.summary import summary

    given = _given(
        tune=tune or None,
        lr=lr,
        segment_length=segment_length,
        theta=theta,
        window=window,
        share=share,
        beam_size=beam,
        length_penalty=length_penalty,
        alpha=alpha,
        replace_unknown=replace_unknown,
    )
    _refuse(given, mode)
    place = Suite.at(suite)
    run_options = RunOptions(
        style="live" if sys.stderr.isatty() else "plain",
        track=track,
        tracking=track_options(track, track_),
        again=again,
        busy=lambda line: print(line, file=sys.stderr),
    )
    carry_out = {"translate": _translate, "caption": _caption, "retrieval": _retrieve}
    if mode in carry_out:
        record = carry_out[mode](place, runs, given, device=device, run_options=run_options)
    else:
        record = _adapt(place, runs, mode, given, run_options=run_options)
    print(summary(record, place))


def _translate(
    place: Suite, runs: tuple[str, ...], given: dict[str, Any], **run_options: Any
) -> Record:
    from bench.translation.evaluation import Wishes, evaluate_translators

    return evaluate_translators(place, runs, Wishes(**given), **run_options)


def _caption(
    place: Suite, runs: tuple[str, ...], given: dict[str, Any], **run_options: Any
) -> Record:
    from bench.captioning.evaluation import evaluate_captioners
    from bench.runs.ensembles import SearchOverrides

    return evaluate_captioners(place, runs, SearchOverrides(**given), **run_options)


def _retrieve(
    place: Suite, runs: tuple[str, ...], given: dict[str, Any], **run_options: Any
) -> Record:
    from bench.captioning.evaluation import evaluate_retrieval

    assert not given
    return evaluate_retrieval(place, runs, **run_options)


def _adapt(
    place: Suite,
    runs: tuple[str, ...],
    mode: Any,
    given: dict[str, Any],
    *,
    run_options: RunOptions,
) -> Record:
    from bench.text.evaluation import evaluate_run

    others: Literal["default", "tuned"] = "tuned" if given.pop("tune", False) else "default"
    record = evaluate_run(place, _one(runs), mode, given, others=others, run_options=run_options)
    print(", ".join(f"{name} {value:g}" for name, value in record.extra.items()))
    return record


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse(given: dict[str, Any], mode: str) -> None:
    """Raise BenchError for options that another mode has."""
    from bench.core.errors import BenchError

    for name in given:
        if name not in _OPTIONS[mode]:
            option = "--beam" if name == "beam_size" else f"--{name.replace('_', '-')}"
            raise BenchError(f"{option} is not an option of --mode {mode}")


def _one(runs: tuple[str, ...]) -> str:
    from bench.core.errors import BenchError

    if len(runs) != 1:
        raise BenchError(f"name one finished run, not {len(runs)}; see `bench list runs`")
    return runs[0]
