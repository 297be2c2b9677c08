"""What `bench data` says of frames: splits, sizes, and the least that a predictor can have."""

from __future__ import annotations

from bench.frames.data.corpus import FrameCorpus


def report(corpus: FrameCorpus, *, task: str, checked: str) -> None:
    """Print what there is."""
    train = corpus.splits["train"]
    size, things = f"{corpus.frame_size} x {corpus.frame_size}", train.thing.shape[1]
    print(
        f"frames of {size} pixels, {things} of {len(train.sprites):,} things in each; "
        f"{corpus.num_given} are given, {corpus.num_predicted} predicted"
    )
    print(f"test: no predictor has a cross-entropy below {corpus.bound:.2f} nats a frame")
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in corpus.splits.items())
    print(f"{task}: {checked}; sequences: {sizes}")
