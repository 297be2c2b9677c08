"""TIMIT: the real tree in any letter case, its speakers, its folding, and what is missing."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from speech_trees import PHONES, TINY, card_spec, prepare, sphere, tiny_timit, variant

from bench.core.errors import BenchError
from bench.speech.data.listing import list_speech
from bench.speech.data.specification import SpeechCounts, SpeechSpec

SAMPLE_SPEAKERS = {
    "train": (
        *("fvmh0", "mcpm0", "faem0", "marc0", "falk0", "madc0"),
        *("falr0", "maeb0", "ftlg0", "mbgt0", "fapb0", "mbma1"),
    ),
    "valid": ("fblv0", "madd0"),
    "test": ("fbcg1", "mbcg0"),
}


@pytest.fixture(scope="module")
def spec() -> SpeechSpec:
    return card_spec("timit")


def sample_spec(spec: SpeechSpec) -> SpeechSpec:
    counts = SpeechCounts(utterances={"train": 96, "valid": 16, "test": 16})
    return msgspec.structs.replace(spec, speakers=SAMPLE_SPEAKERS, counts=counts)


@pytest.fixture(scope="module")
def tree(bench_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as LDC would lay it out: upper case, SPHERE headers in `.WAV`."""
    root = tmp_path_factory.mktemp("timit") / "timit" / "TIMIT"
    held_out = {*SAMPLE_SPEAKERS["valid"], *SAMPLE_SPEAKERS["test"]}
    for folder in sorted((bench_data / "timit-sample").glob("dr*-*")):
        region, speaker = folder.name.split("-")
        half = "TEST" if speaker in held_out else "TRAIN"
        place = root / half / region.upper() / speaker.upper()
        place.mkdir(parents=True)
        for path in folder.iterdir():
            target = place / path.name.upper()
            if path.suffix == ".wav":
                target.write_bytes(sphere(soundfile.read(path, dtype="int16")[0]))
            else:
                shutil.copyfile(path, target)
    return root.parent


def test_the_sample_as_the_real_tree(tree: Path, spec: SpeechSpec, bench_data: Path) -> None:
    data = prepare(tree, sample_spec(spec))
    assert {split: len(part) for split, part in data.splits.items()} == {
        "train": 96,
        "valid": 16,
        "test": 16,
    }
    assert not data.skipped
    (utterance,) = (u for u in data.splits["train"].utterances if u.id == "fvmh0-sx206")
    lines = (bench_data / "timit-sample/dr1-fvmh0/sx206.phn").read_text().split()
    assert utterance.labels == tuple(lines[2::3])
    assert utterance.times is not None
    assert [str(first) for first, _ in utterance.times] == lines[0::3]
    assert utterance.speaker == "fvmh0"
    spoken = Counter(
        phone for part in data.splits.values() for u in part.utterances for phone in u.labels
    )
    assert set(spoken) <= set(spec.labels)
    assert len(spoken) == 61
    assert all(not u.id.split("-")[1].startswith("sa") for u in data.splits["train"].utterances)
    frames = data.splits["train"].frames[: int(data.splits["train"].num_frames.sum())]
    assert frames.shape[1] == 123
    assert abs(frames.mean(axis=0, dtype=np.float64)).max() < 1e-6
    assert abs(frames.std(axis=0, dtype=np.float64) - 1).max() < 1e-6


def test_letter_case_and_header_change_nothing(
    tree: Path, spec: SpeechSpec, bench_data: Path, tmp_path: Path
) -> None:
    for folder in sorted((bench_data / "timit-sample").glob("dr*-*")):
        region, speaker = folder.name.split("-")
        shutil.copytree(folder, tmp_path / "timit" / "train" / region / speaker)
    lower = prepare(tmp_path / "timit", sample_spec(spec))
    upper = prepare(tree, sample_spec(spec))
    assert lower.checksums == upper.checksums
    assert (lower.splits["train"].frames == upper.splits["train"].frames).all()


def test_the_speakers_are_the_published_lists(spec: SpeechSpec, bench_data: Path) -> None:
    lists = bench_data / "timit-lists"
    training = (lists / "timit-train-3696.list").read_text().split()
    assert set(spec.speakers["train"]) == {line.split("/")[2] for line in training}
    assert set(spec.speakers["valid"]) == set((lists / "dev_spk.list").read_text().split())
    assert set(spec.speakers["test"]) == set((lists / "test_spk.list").read_text().split())
    sizes = {split: len(speakers) for split, speakers in spec.speakers.items()}
    assert sizes == {"train": 462, "valid": 50, "test": 24}
    assert spec.counts.utterances == {split: 8 * size for split, size in sizes.items()}
    assert len(training) == spec.counts.utterances["train"]


def test_the_folding_is_the_published_map(spec: SpeechSpec, bench_data: Path) -> None:
    text = (bench_data / "timit-lists" / "phones.60-48-39.map").read_text()
    published = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert set(spec.labels) == set(published)
    assert len(spec.labels) == 61
    in_48 = {label: spec.folding[0].get(label, label) for label in spec.labels}
    assert in_48 == {label: names[0] if names else None for label, names in published.items()}
    in_39 = {label: spec.folded(label) for label in spec.labels}
    assert in_39 == {label: names[1] if names else None for label, names in published.items()}
    assert in_39["q"] is None
    assert [len(set(names.values()) - {None}) for names in (in_48, in_39)] == [48, 39]


def test_an_incomplete_tree_says_what_is_missing(tmp_path: Path) -> None:
    folder = tiny_timit(tmp_path / "tiny")
    for path in folder.glob("TRAIN/DR1/MDEF0/SX1.*"):
        path.unlink()
    shutil.rmtree(folder / "TEST/DR1/MGHI0")
    with pytest.raises(BenchError) as caught:
        list_speech(TINY, task="tiny", path=folder)
    message = str(caught.value)
    for part in (
        f"{folder} is incomplete",
        "utterances of 1 train speakers (mdef0 1)",
        "1 of 1 valid speakers (mghi0), 2 utterances each",
        "TRAIN/DR1/FCJF0/SX37.WAV and SX37.PHN",
    ):
        assert part in message
    assert "\n" not in message
    assert "test speakers" not in message


def test_no_tree_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BenchError) as caught:
        list_speech(TINY, task="tiny", twin="synthetic-speech")
    for part in (
        "nowhere",
        str(tmp_path / "data/tiny"),
        str(tmp_path / "cache/tiny"),
        "--task synthetic-speech",
    ):
        assert part in str(caught.value)
    tiny_timit(tmp_path / "data/tiny")
    assert len(list_speech(TINY, task="tiny").splits["train"]) == 4


def test_the_same_recording_twice_is_refused(tmp_path: Path) -> None:
    folder = tiny_timit(tmp_path / "tiny")
    shutil.copytree(folder / "TRAIN/DR1/FABC0", folder / "train/dr1/fabc0")
    with pytest.raises(BenchError, match="are the same recording: keep one"):
        list_speech(TINY, task="tiny", path=folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"counts": SpeechCounts(utterances={"test": 3})},
            "2 test utterances where the card counts 3",
        ),
        ({"counts": SpeechCounts(phones={"test": 11})}, "12 test phones where the card counts 11"),
        ({"phones_sha256": "0" * 64}, "altered: the utterances' phones have sha256"),
        ({"samples_sha256": "0" * 64}, "altered: the recordings' samples have sha256"),
    ],
)
def test_another_corpus_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = tiny_timit(tmp_path / "tiny")
    with pytest.raises(BenchError, match=message):
        prepare(folder, variant(**change))


def test_labels_count_from_one(tmp_path: Path) -> None:
    data = prepare(tiny_timit(tmp_path / "tiny"))
    assert data.corpus.num_outputs == 5
    assert data.splits["test"].labels[0].tolist() == [3, 1, 2, 1, 1, 3]
    assert data.splits["test"].utterances[0].labels == PHONES
    assert data.corpus.folding_name == "4-2"
    assert data.corpus.folding == {"aa": "aa", "b": "aa", "h#": "h#", "q": None}
