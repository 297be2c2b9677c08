"""Bad recordings on the way from `bench run` to the table: refused, or left out and counted."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from command_line import CommandLine

from bench.core.record import read_record

RATE_HZ, NUM_SAMPLES = 16000, 8000
SPEAKERS = {"train": ("fabc0", "mdef0"), "valid": ("mghi0",), "test": ("fjkl1",)}
CARD = {
    "task": "tiny-timit",
    "title": "A few noises",
    "version": 1,
    "objective": "ctc",
    "objectives": ["transducer", "next-label"],
    "description": "Phones of a few noises in TIMIT's layout.",
    "metric": {"name": "phone-error-rate", "direction": "min"},
    "protocol": "Every speaker is in one split.",
    "corpus": {
        "kind": "speech",
        "layout": "timit",
        "folder": "tiny-timit",
        "licence": "none",
        "obtain": "nowhere",
        "labels": ["aa", "b", "h#"],
        "speakers": SPEAKERS,
        "utterances_per_speaker": 2,
        "counts": {"utterances": {"train": 4, "valid": 2, "test": 2}},
        "features": {"num_mel_bands": 8, "num_differences": 0},
    },
    "recipes": {
        "default": {
            "model": {"hidden_size": 4},
            "objective": {"batch_frames": 300, "beam_width": 3},
            "trainer": {"max_epochs": 1, "threads": 1},
        },
        "next-label": {"objective": {"name": "next-label", "batch_frames": 300}},
    },
}


def riff(seed: int) -> bytes:
    """A RIFF file of smooth noise: a header of 44 bytes, then 16-bit samples."""
    noise = np.random.default_rng(seed).standard_normal(NUM_SAMPLES + 20)
    data = np.convolve(1500 * noise, np.hanning(21), "valid")[:NUM_SAMPLES].astype("<i2").tobytes()
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    body = b"WAVE" + layout + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card, its tree, and one training recording that a conversion has emptied."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "tiny-timit.yaml").write_bytes(msgspec.yaml.encode(CARD))
    seed = 0
    for split, speakers in SPEAKERS.items():
        half = "TRAIN" if split == "train" else "TEST"
        for speaker in speakers:
            place = tmp_path / "tiny-timit" / half / "DR1" / speaker.upper()
            place.mkdir(parents=True)
            for sentence in ("SX1", "SI2"):
                seed += 1
                (place / f"{sentence}.WAV").write_bytes(riff(seed))
                (place / f"{sentence}.PHN").write_text("0 2000 h#\n2000 5000 aa\n5000 8000 b\n")
    (tmp_path / "tiny-timit/TRAIN/DR1/FABC0/SX1.WAV").write_bytes(b"")
    return tmp_path


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_a_run_is_refused_for_one_bad_recording(bench: CommandLine, suite: Path) -> None:
    said = bench("run", "--task", "tiny-timit", "--model", "srn", "--suite", suite)
    assert said.status == 2
    assert said.err.splitlines()[-1].startswith("bench: tiny-timit: 1 bad utterance (1 empty)")
    assert "FABC0/SX1.WAV: 0 bytes" in said.err
    assert "--data.on-bad skip" in said.err
    assert not list(suite.glob("results/*/runs/*.json"))


@pytest.mark.parametrize(
    ("objective", "signature"),
    [
        ("ctc", "|decoder:beam(3)|skipped:1"),
        ("transducer", "|decoder:beam(3)|skipped:1"),
        ("next-label", "perplexity|unit:label|labels:3|end:none|skipped:1"),
    ],
)
def test_a_run_goes_without_it_when_told_to_and_says_so(
    bench: CommandLine, suite: Path, objective: str, signature: str
) -> None:
    words = f"run --task tiny-timit --model srn --objective {objective} --track none"
    extra = ["--objective.beam-width", "3"] if objective == "transducer" else []
    said = bench(*words.split(), *extra, "--data.on-bad", "skip", "--suite", suite)
    assert said.status == 0, said
    assert "tiny-timit: left out 1 bad utterance (1 empty): empty: " in said.err
    assert "FABC0/SX1.WAV" in said.err
    (path,) = suite.glob("results/tiny-timit/runs/*.json")
    record = read_record(path)
    assert record.signature.endswith(signature)
    assert record.config["data"]["on_bad"] == "skip"
    assert record.cost.unit == ("label" if objective == "next-label" else "frame")


def test_numbers_with_and_without_it_never_share_a_column(bench: CommandLine, suite: Path) -> None:
    words = ["run", "--task", "tiny-timit", "--model", "srn", "--track", "none", "--suite", suite]
    assert bench(*words, "--data.on-bad", "skip").status == 0
    (suite / "tiny-timit/TRAIN/DR1/FABC0/SX1.WAV").write_bytes(riff(1))
    assert bench(*words).status == 0
    signatures = {read_record(path).signature for path in suite.glob("results/*/runs/*.json")}
    assert len(signatures) == 2
    table = bench("table", "tiny-timit", "--suite", suite).out
    for signature in signatures:
        assert signature in table
