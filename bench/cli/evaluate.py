"""`bench evaluate`: finished networks measured in another way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from bench.cli.numbers import OptionalWhole
from bench.cli.settings import Track, TrackSettings, track_options

if TYPE_CHECKING:
    from bench.core.record import Record


def evaluate(
    *runs: str,
    mode: str,
    tune: Annotated[bool, Parameter(negative=())] = False,
    lr: float | None = None,
    segment_length: OptionalWhole = None,
    theta: float | None = None,
    window: OptionalWhole = None,
    share: float | None = None,
    beam: OptionalWhole = None,
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

    settings = {
        "tune": tune or None,
        "lr": lr,
        "segment_length": segment_length,
        "theta": theta,
        "window": window,
        "share": share,
        "beam_size": beam,
        "length_penalty": length_penalty,
        "alpha": alpha,
        "replace_unknown": replace_unknown,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    place = Suite.at(suite)
    options = RunOptions(
        style="live" if sys.stderr.isatty() else "plain",
        track=track,
        tracking=track_options(track, track_),
        again=again,
        busy=lambda line: print(line, file=sys.stderr),
    )
    carry_out = _evaluation(mode, given)
    print(summary(carry_out(place, runs, given, device=device, options=options), place))


def _evaluation(mode: str, given: Iterable[str]) -> Callable[..., Record]:
    """The function that carries out a mode; BenchError for settings that another mode has."""
    from bench.core.errors import BenchError, nearest
    from bench.domains import all_domains, load_attribute

    known = {name: each for domain in all_domains() for name, each in domain.evaluations.items()}
    if mode not in known:
        raise BenchError(f"--mode {mode}: {nearest(mode, known)}")
    for name in given:
        if name not in known[mode].settings:
            option = "--beam" if name == "beam_size" else f"--{name.replace('_', '-')}"
            raise BenchError(f"{option} is not an option of --mode {mode}")
    function: Callable[..., Record] = load_attribute(known[mode].run)
    return function
