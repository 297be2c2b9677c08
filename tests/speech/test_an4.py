"""AN4: its real counts, its development speakers, its formats, and what is missing from a tree."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from speech_trees import card_spec, prepare, smooth_noise, sphere

from bench.core.errors import BenchError
from bench.speech.data.listing import list_speech
from bench.speech.data.prepared import SpeechData, prepare_speech
from bench.speech.data.specification import SpeechSpec

TINY = SpeechSpec(
    layout="an4",
    folder="tiny",
    licence="none",
    obtain="nowhere",
    labels=("AH", "EY", "N", "OW", "S", "Y", "EH", "G"),
    speakers={"valid": ("mdev",)},
)
TEXT = {
    "train": {"fabc/an1-fabc-b": "<s> YES GO </s>", "mdev/an2-mdev-b": "<s> A </s>"},
    "test": {"mxyz/an3-mxyz-b": "NO"},
}
DICTIONARY = "A   AH\nA(2)   EY\nYES  Y EH S\nGO   G OW\nNO   N OW\n\n"


def tiny_an4(folder: Path, suffix: str = ".sph") -> Path:
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/an4.dic").write_text(DICTIONARY)
    seed = 0
    for name, texts in TEXT.items():
        kind = "an4_clstk" if name == "train" else "an4test_clstk"
        lists = [folder / f"etc/an4_{name}.{end}" for end in ("fileids", "transcription")]
        lists[0].write_text("".join(f"{kind}/{place}\n" for place in texts))
        lists[1].write_text(
            "".join(f"{words} ({place.split('/')[1]})\n" for place, words in texts.items())
        )
        for place in texts:
            seed += 1
            path = folder / "wav" / kind / f"{place}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, smooth_noise(seed))
    return folder


def write(path: Path, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    if path.suffix == ".sph":
        path.write_bytes(sphere(samples))
    elif path.suffix == ".raw":
        path.write_bytes(samples.astype(">i2").tobytes())
    else:
        soundfile.write(path, samples, 16000, subtype="PCM_16")


@pytest.fixture(scope="module")
def whole(bench_data: Path, tmp_path_factory: pytest.TempPathFactory) -> SpeechData:
    return prepare_speech(
        card_spec("an4"),
        task="an4",
        path=bench_data / "an4",
        cache=tmp_path_factory.mktemp("cache"),
    )


def test_the_real_counts(whole: SpeechData) -> None:
    found = {
        split: (len(part), sum(map(len, part.labels)), len({u.speaker for u in part.utterances}))
        for split, part in whole.splits.items()
    }
    assert found == {"train": (820, 12468, 64), "valid": (128, 1845, 10), "test": (130, 2040, 10)}
    assert 12468 + 1845 == 14313
    assert len(whole.corpus.labels) == 33
    assert whole.corpus.num_outputs == 34
    speakers = [{u.speaker for u in part.utterances} for part in whole.splits.values()]
    assert not set.intersection(*speakers)
    assert len(set.union(*speakers)) == 84


def test_the_real_samples_are_the_cards(whole: SpeechData) -> None:
    spec = card_spec("an4")
    assert whole.checksums == {"phones": spec.phones_sha256, "samples": spec.samples_sha256}
    assert not whole.skipped
    num_frames = sum(int(part.num_frames.sum()) for part in whole.splits.values())
    assert 48 < num_frames / 6000 < 48.4  # minutes, less the end of each last window


def test_the_development_speakers_follow_their_rule(whole: SpeechData, bench_data: Path) -> None:
    lines = (bench_data / "an4/etc/an4_train.fileids").read_text().split()
    speakers = sorted({line.split("/")[1] for line in lines})
    assert len(speakers) == 74
    held_out = card_spec("an4").speakers["valid"]
    assert list(held_out) == speakers[6::7]
    assert [sum(name[0] == sex for name in held_out) for sex in "fm"] == [3, 7]
    assert {u.speaker for u in whole.splits["valid"].utterances} == set(held_out)


def test_training_frames_are_normalised(whole: SpeechData) -> None:
    train = whole.splits["train"]
    rows = train.frames[: int(train.num_frames.sum())]
    assert abs(rows.mean(axis=0, dtype=np.float64)).max() < 1e-6
    assert abs(rows.std(axis=0, dtype=np.float64) - 1).max() < 1e-6
    others = whole.splits["test"].frames[int(train.num_frames.sum()) :]
    assert abs(others.mean(axis=0, dtype=np.float64)).max() > 0.01  # not by their own statistics


def test_the_first_pronunciation_counts(tmp_path: Path) -> None:
    corpus = list_speech(TINY, task="tiny", path=tiny_an4(tmp_path / "an4"))
    phones = {split: [u.labels for u in found] for split, found in corpus.splits.items()}
    assert phones == {
        "train": [("Y", "EH", "S", "G", "OW")],
        "valid": [("AH",)],
        "test": [("N", "OW")],
    }


@pytest.mark.parametrize("suffix", [".raw", ".flac", ".wav"])
def test_formats_give_the_same_features(tmp_path: Path, suffix: str) -> None:
    expected = prepare(tiny_an4(tmp_path / "a" / "an4"), TINY)
    data = prepare(tiny_an4(tmp_path / "b" / "an4", suffix), TINY)
    assert data.checksums == expected.checksums
    assert (data.splits["train"].frames == expected.splits["train"].frames).all()


def test_folders_as_they_are_found(tmp_path: Path) -> None:
    tiny_an4(tmp_path / "deep" / "an4")
    (tmp_path / "deep/an4/wav").rename(tmp_path / "deep/an4/audio")
    assert len(list_speech(TINY, task="tiny", path=tmp_path / "deep").splits["test"]) == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("an4.dic", None, "an4.dic is missing: put CMU's an4 folder"),
        ("an4_train.fileids", None, "an4_train.fileids is missing"),
        ("an4_train.fileids", "an4_clstk/fabc/an1-fabc-b\n", "speakers mdev are not in it"),
        ("an4_test.transcription", "NO\n", r"an4_test.transcription, line 1: no \(name\)"),
    ],
)
def test_broken_lists(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    folder = tiny_an4(tmp_path / "an4")
    (folder / "etc" / name).unlink()
    if text is not None:
        (folder / "etc" / name).write_text(text)
    with pytest.raises(BenchError, match=message):
        list_speech(TINY, task="tiny", path=folder)


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("wav/an4_clstk/fabc/an1-fabc-b.sph", None, "no audio", "neither in wav/ nor in audio/"),
        ("etc/an4_test.transcription", "", "no transcript", "without a transcript"),
        ("etc/an4_test.transcription", "<s> </s> (an3-mxyz-b)\n", "bad transcript", "no word"),
        ("etc/an4_test.transcription", "WHY (an3-mxyz-b)\n", "unknown word", "'WHY' is not in"),
        ("etc/an4.dic", DICTIONARY.replace("N OW", "N OH"), "unknown phone", "'OH' of etc/an4.dic"),
        ("wav/an4_clstk/fabc/an9-fabc-b.sph", "x", "no transcript", "is in neither list"),
    ],
)
def test_a_bad_utterance_is_named(
    tmp_path: Path, name: str, text: str | None, kind: str, message: str
) -> None:
    folder = tiny_an4(tmp_path / "an4")
    (folder / name).unlink(missing_ok=True)
    if text is not None:
        (folder / name).write_text(text)
    (problem,) = list_speech(TINY, task="tiny", path=folder).problems
    assert problem.kind == kind
    assert message in problem.detail
    with pytest.raises(BenchError, match=f"1 bad utterance .1 {kind}."):
        prepare(folder, TINY)


def test_a_recording_of_no_list_is_skipped_and_told(tmp_path: Path) -> None:
    folder = tiny_an4(tmp_path / "an4")
    shutil.copyfile(
        folder / "wav/an4_clstk/fabc/an1-fabc-b.sph", folder / "wav/an4_clstk/fabc/an9-fabc-b.sph"
    )
    data = prepare(folder, TINY, on_bad="skip")
    assert [len(part) for part in data.splits.values()] == [1, 1, 1]
    assert [problem.split for problem in data.skipped] == [None]


def test_a_card_with_a_slip_is_refused() -> None:
    for change, message in (
        ({"labels": ("AH", "AH")}, "labels: given more than once: AH"),
        ({"speakers": {"dev": ()}}, "speakers: 'dev' is not one of"),
        ({"folding": ({"XX": "AH"},)}, "folding: 'XX' is no label at this step"),
        ({"samples_sha256": "12"}, "64 lower-case hexadecimal"),
    ):
        tree = {**msgspec.to_builtins(TINY), **change}
        with pytest.raises(msgspec.ValidationError, match=message):
            msgspec.convert(tree, SpeechSpec)
