"""A speech task small enough to be trained inside a test, and speech without sound for shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.speech.data.corpus import SpeechCorpus, Utterance
from bench.speech.data.prepared import FeatureSplit, SpeechData
from bench.speech.data.specification import FeatureRecipe

CARD = """\
task: tiny-speech
title: A few sounds
version: 1
objective: ctc
objectives: [transducer, next-label]
description: Phones of a few generated utterances.
metric: {name: phone-error-rate, direction: min}
protocol: Speakers of validation and test are not heard in training.
corpus:
  kind: synthetic-speech
  num_speakers: {train: 4, valid: 2, test: 2}
  utterances_per_speaker: 3
  num_phones_min: 2
  num_phones_max: 5
  features: {num_mel_bands: 8, num_differences: 0}
recipes:
  default:
    model: {hidden_size: 6}
    objective: {batch_frames: 300, stack_frames: 2, beam_width: 5}
    optim: {lr: 0.02, clip_at: 20.0}
    trainer: {max_epochs: 2, threads: 1}
  transducer:
    objective: {name: transducer, batch_frames: 300, stack_frames: 2, beam_width: 5,
      prediction_size: 5, joint_size: 6}
  next-label:
    objective: {name: next-label, batch_frames: 300}
  # Two stages, and two networks as the beginning of a third.
  noisy:
    model: {name: lstm}
    objective: {weight_noise: 0.05}
    init: {model: "recipe:calm"}
  calm:
    model: {name: lstm}
  phones:
    model: {name: lstm, hidden_size: 5}
    objective: {name: next-label}
  pretrained:
    model: {name: lstm}
    objective: {name: transducer, prediction_size: 5, joint_size: 6, stack_frames: 2}
    init: {encoder: "recipe:calm", prediction: "recipe:phones"}
"""


def make_suite(folder: Path) -> Path:
    """Put the card into `folder`/tasks; the folder, to be named by `--suite`."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks" / "tiny-speech.yaml").write_text(CARD)
    return folder


class _Silent:
    """Recordings that nobody asks for."""

    sample_rate_hz = 16000

    def samples(self, utterance: Utterance) -> Any:
        raise NotImplementedError

    def fingerprint(self, utterance: Utterance) -> str:
        raise NotImplementedError


def random_speech(
    labels: tuple[str, ...], *, lengths: tuple[int, ...] = (9, 30, 17, 12), num_features: int = 123
) -> SpeechData:
    """Utterances of random numbers, the same in every split; a label takes six frames."""
    draw = np.random.default_rng(3)
    num_frames = np.array(lengths, np.int64)
    phones = [tuple(draw.choice(labels, size=length // 6)) for length in lengths]
    utterances = tuple(
        Utterance(id=f"u{i}", speaker=f"s{i % 2}", labels=tuple(map(str, spoken)))
        for i, spoken in enumerate(phones)
    )
    corpus = SpeechCorpus(
        labels=labels,
        folding={label: label for label in labels},
        splits=dict.fromkeys(("train", "valid", "test"), utterances),
        recordings=_Silent(),
        recipe=FeatureRecipe(num_mel_bands=num_features - 1, num_differences=0),
    )
    split = FeatureSplit(
        utterances=utterances,
        labels=tuple(corpus.numbers(utterance) for utterance in utterances),
        first=np.cumsum(num_frames) - num_frames,
        num_frames=num_frames,
        frames=draw.standard_normal((int(num_frames.sum()), num_features)).astype(np.float32),
    )
    return SpeechData(
        corpus=corpus,
        splits=dict.fromkeys(("train", "valid", "test"), split),
        checksums={},
        skipped=(),
    )
