"""Sequences of frames of a card: digits are read, shapes are known, paths are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.splits import SPLITS
from bench.data.files import digest_of, mismatch
from bench.data.problems import Style
from bench.data.random import uniform
from bench.data.sources import Download, DownloadProgress, locate, own_folder, print_status
from bench.frames.data.corpus import FrameCorpus, FrameSplit
from bench.frames.data.motion import (
    Pixels,
    draw_indices,
    integer_motion,
    paths,
    read_idx,
    shapes,
    uniform_motion,
)
from bench.frames.data.specification import MovingDigitsSpec, SyntheticFramesSpec


def prepare_frames(
    spec: MovingDigitsSpec | SyntheticFramesSpec,
    *,
    task: str,
    twin: str | None = None,
    path: Path | None = None,
    download: Download = "never",
    fetching: DownloadProgress | None = None,
) -> FrameCorpus:
    """Sequences of a card, the same on every machine.

    Raises BenchError for a file that is missing or not the card's.
    """
    if isinstance(spec, SyntheticFramesSpec):
        if path is not None:
            raise BenchError(f"{task} is generated and reads no files: leave out --data.path")
        return _corpus(spec, shapes(), {}, task=task)
    folder = locate(
        spec,
        task=task,
        twin=twin,
        path=path,
        obtain=spec.obtain,
        download=download,
        progress=fetching,
    )
    file = folder / spec.files["images"].path
    if (reason := mismatch(file, spec.files["images"])) is not None:
        raise BenchError(f"{reason}; put the original file in its place")
    digits = _draw_digits(read_idx(file, sha256=spec.pixels_sha256), spec, file)
    return _corpus(spec, digits, {file.name: digest_of(file, "sha256")}, task=task)


def _draw_digits(images: Pixels, spec: MovingDigitsSpec, file: Path) -> Pixels:
    """Different images, as many as the card says, in the order of the draw."""
    if len(images) < spec.num_digits:
        raise BenchError(
            f"{file}: {len(images):,} images where the card draws {spec.num_digits:,}: put the "
            "original file in its place"
        )
    order = np.argsort(uniform(np.random.PCG64(spec.seed), len(images)), kind="stable")
    return images[order[: spec.num_digits]]


def _corpus(
    spec: MovingDigitsSpec | SyntheticFramesSpec,
    sprites: Pixels,
    files: Mapping[str, str],
    *,
    task: str,
) -> FrameCorpus:
    room = spec.frame_size - max(sprites.shape[1:])
    if room < 1:
        raise BenchError(f"{task}: frames of {spec.frame_size} pixels leave nothing room to move")
    splits = {split: _split(spec, sprites, split, room=room) for split in SPLITS}
    return FrameCorpus(
        splits=splits,
        num_given=spec.num_given,
        num_predicted=spec.num_predicted,
        checksums={**files, **{f"{name} frames": part.sha256() for name, part in splits.items()}},
    )


def _split(
    spec: MovingDigitsSpec | SyntheticFramesSpec, sprites: Pixels, split: str, *, room: int
) -> FrameSplit:
    place = SPLITS.index(split)
    stream = np.random.PCG64(spec.seed).jumped(1 + place)
    size = (int(getattr(spec, f"num_{split}")), spec.things_per_frame)
    number = size[0] * size[1]
    sprite_M = draw_indices(stream, number, of=len(sprites))
    noise = 0.0
    if isinstance(spec, MovingDigitsSpec):
        speeds = {"slowest": spec.slowest, "fastest": spec.fastest}
        motion = uniform_motion(stream, number, room=room, **speeds)
    else:
        noise = spec.noise
        motion = integer_motion(stream, number, room=room, fastest=spec.fastest)
    corner_MT2 = paths(*motion, num_frames=spec.num_frames, room=room)
    return FrameSplit(
        sprites=sprites,
        frame_size=spec.frame_size,
        sprite=sprite_M.reshape(size),
        corner=corner_MT2.reshape(*size, spec.num_frames, 2),
        noise=noise,
        seed=(spec.seed, place),
    )


def load(
    card: Card, data: DataConfig, *, style: Style, progress: DownloadProgress | None
) -> FrameCorpus:
    """Corpus of a card; see `prepare_frames`."""
    del style  # nothing takes long
    assert isinstance(card.corpus, MovingDigitsSpec | SyntheticFramesSpec)
    return prepare_frames(
        card.corpus,
        task=card.task,
        twin=card.twin,
        path=own_folder(card.task, data),
        download=data.download,
        fetching=progress,
    )


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print the files, sizes of frames and splits, and the least cross-entropy of a predictor."""
    print_status(card, data)
    data = msgspec.structs.replace(data, download="missing" if fetch else "never")
    corpus = load(card, data, style="quiet", progress=progress)
    checked = "generated"
    if isinstance(card.corpus, MovingDigitsSpec):
        checked = "verified" if card.corpus.pixels_sha256 else "counted"
    train = corpus.splits["train"]
    size, num_sprites = f"{corpus.frame_size} x {corpus.frame_size}", train.sprite.shape[1]
    print(
        f"frames of {size} pixels, {num_sprites} of {len(train.sprites):,} things in each; "
        f"{corpus.num_given} are given, {corpus.num_predicted} predicted"
    )
    print(f"test: no predictor has a cross-entropy below {corpus.bound:.2f} nats a frame")
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in corpus.splits.items())
    print(f"{card.task}: {checked}; sequences: {sizes}")
