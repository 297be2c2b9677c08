"""Own recordings: layouts, units, splits that are held out, and everything that can be bad."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_recordings import SPEC, SPLITS, TEXTS, listed, own_lists, prepared, record, write_list
from speech_trees import card_spec

from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.speech.data.corpus import SpeechCorpus
from bench.speech.data.listing import list_speech
from bench.speech.data.own import cut, hold_out, list_own, read_lexicon
from bench.speech.data.transcripts import Entry, find_splits


def labels_of(corpus: SpeechCorpus) -> dict[str, list[str]]:
    return {
        split: ["".join(u.labels).replace("_", " ") for u in part]
        for split, part in corpus.splits.items()
    }


def commas(folder: Path) -> None:
    for split, texts in SPLITS.items():
        rows = []
        for number, text in enumerate(texts):
            record(folder / f"{split}-{number}.flac", text, kind="FLAC")
            rows.append(("x", f'"{text}"', f"{split}-{number}.flac"))
        write_list(folder / f"my.{split}.csv", rows, header="id text file_name")


def common_voice(folder: Path) -> None:
    names = {"train": "train", "valid": "dev", "test": "test"}
    for split, texts in SPLITS.items():
        rows = []
        for number, text in enumerate(texts):
            record(
                folder / f"clips/{split}{number}.mp3", text, kind="MP3", subtype="MPEG_LAYER_III"
            )
            rows.append((f"s{number}", f"{split}{number}.mp3", text, "2"))
        write_list(folder / f"{names[split]}.tsv", rows, header="client_id path sentence up_votes")
    write_list(folder / "validated.tsv", [], header="path sentence")
    write_list(folder / "clip_durations.tsv", [], header="clip duration[ms]")


def beside(folder: Path) -> None:
    for split, texts in SPLITS.items():
        for number, text in enumerate(texts):
            record(folder / f"{split}/s{number}/x.wav", text)
            (folder / f"{split}/s{number}/x.txt").write_text(f"{text}\n")


def libri_speech(folder: Path) -> None:
    names = {"train": "train-clean-100", "valid": "dev-clean", "test": "test-clean"}
    for split, texts in SPLITS.items():
        place = folder / names[split] / "19" / "198"
        for number, text in enumerate(texts):
            record(place / f"19-198-{number:04}.flac", text, kind="FLAC")
        lines = [f"19-198-{number:04} {text}\n" for number, text in enumerate(texts)]
        (place / "19-198.trans.txt").write_text("".join(lines))


def audio_folder(folder: Path) -> None:
    for split, texts in SPLITS.items():
        rows = [(f"{number}.wav", text) for number, text in enumerate(texts)]
        for name, text in rows:
            record(folder / split / name, text)
        write_list(folder / split / "metadata.csv", rows, header="file_name transcription")


def linked(folder: Path) -> None:
    beside(folder.parent / "elsewhere")
    folder.mkdir()
    for split in SPLITS:
        (folder / split).symlink_to(folder.parent / "elsewhere" / split)


@pytest.mark.parametrize(
    ("layout", "speakers"),
    [
        (own_lists, {"unknown"}),
        (commas, {"unknown"}),
        (common_voice, {"s0", "s1", "s2", "s3"}),
        (beside, {"s0", "s1", "s2", "s3"}),
        (linked, {"s0", "s1", "s2", "s3"}),
        (libri_speech, {"19"}),
        (audio_folder, {"unknown"}),
    ],
)
def test_every_layout_holds_the_same_texts(
    tmp_path: Path, layout: Callable[[Path], None], speakers: set[str]
) -> None:
    layout(tmp_path / "own")
    own = listed(tmp_path / "own")
    assert labels_of(own.corpus) == {split: list(texts) for split, texts in SPLITS.items()}
    assert own.corpus.labels == ("_", "a", "b", "c")
    assert own.splits == "those of the folder"
    assert {u.speaker for part in own.corpus.splits.values() for u in part} == speakers
    assert own.corpus.problems == ()
    assert [len(part) for part in prepared(tmp_path / "own").splits.values()] == [4, 2, 3]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no recordings: put there train.tsv, valid.tsv and test.tsv"),
        ({"a.tsv": "", "b.csv": ""}, r"several lists \(a.tsv, b.csv\): leave only one"),
        ({"train.tsv": "", "training.csv": ""}, "several train splits"),
        ({"test.tsv": "", "dev.tsv": ""}, "holds dev.tsv, test.tsv, but no training utterances"),
        ({"train/a": "", "train-2/a": ""}, r"several train splits \(train, train-2\)"),
        ({"train.tsv": ""}, "train.tsv, line 1: no column of recordings .*, which has nothing"),
        ({"train.tsv": "path,text\n"}, "has path,text; columns are separated by tabs"),
        ({"train.tsv": "path\twords\n"}, "line 1: no column of transcripts"),
        ({"train.csv": 'path,text\na.wav,"a\n'}, "train.csv, line 2: unexpected end of data"),
        ({"train.csv": "path,text\n\n"}, "train.csv holds no recordings"),
    ],
)
def test_a_folder_in_no_layout(tmp_path: Path, files: dict[str, str], message: str) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with pytest.raises(BenchError, match=message):
        listed(folder)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no folder"):
        listed(tmp_path / "own")
    with pytest.raises(BenchError, match=r"--data\.path DIR"):
        list_own(SPEC, DataConfig(), task="speech")


# Splits -----------------------------------------------------------------------------------------


def entries(numbers: dict[str | None, int]) -> list[Entry]:
    """So many entries of each speaker."""
    return [
        Entry(id=f"{who}/{i}", audio=Path("x.wav"), text="a", speaker=who, where="x")
        for who, number in numbers.items()
        for i in range(number)
    ]


def held_out(train: list[Entry], **others: list[Entry]) -> tuple[dict[str, list[str]], str]:
    splits, origin = hold_out(SPEC, {"train": train, **others}, Path("own"))
    return {split: [entry.id for entry in part] for split, part in splits.items()}, origin


def test_utterances_are_held_out_by_their_names() -> None:
    every = entries({None: 20})
    splits, origin = held_out(every)
    names = [entry.id for entry in every]
    names.sort(key=lambda name: hashlib.sha256(f"1 {name}".encode()).hexdigest())
    assert {split: sorted(part) for split, part in splits.items()} == {
        "train": sorted(names[4:]),
        "valid": sorted(names[2:4]),
        "test": sorted(names[:2]),
    }
    assert splits["test"] == ["None/1", "None/10"]
    assert origin == "utterances of valid and test held out of train by their names (seed 1)"
    random.Random(1).shuffle(every)
    again, _ = held_out(every)
    assert {s: sorted(part) for s, part in again.items()} == {
        s: sorted(part) for s, part in splits.items()
    }


def test_what_the_folder_has_stays() -> None:
    given = entries({"t": 3})
    splits, origin = held_out(entries({None: 20}), test=given)
    assert splits["test"] == [entry.id for entry in given]
    assert len(splits["valid"]) == 2
    assert origin.startswith("utterances of valid held out of train")


def test_whole_speakers_are_held_out() -> None:
    splits, origin = held_out(entries({f"s{i}": 5 for i in range(20)}))
    speakers = {split: {name.split("/")[0] for name in part} for split, part in splits.items()}
    assert [len(names) for names in speakers.values()] == [16, 2, 2]
    assert not set.intersection(*speakers.values())
    assert len(set.union(*speakers.values())) == 20
    assert origin.startswith("speakers of valid and test")


def test_a_speaker_of_most_utterances_stays_in_training() -> None:
    splits, _ = held_out(entries({"main": 200, **{f"s{i}": 10 for i in range(12)}}))
    assert "main/0" in splits["train"]
    assert 20 <= len(splits["test"]) <= 64
    assert 20 <= len(splits["valid"]) <= 64


@pytest.mark.parametrize(("num_speakers", "num_unnamed"), [(9, 0), (20, 1)])
def test_few_or_unnamed_speakers_are_not_held_out_whole(
    num_speakers: int, num_unnamed: int
) -> None:
    named = entries({f"s{i}": 5 for i in range(num_speakers)})
    assert held_out([*named, *entries({None: num_unnamed})])[1].startswith("utterances of")


def test_too_few_utterances_to_hold_any_out() -> None:
    with pytest.raises(BenchError, match="2 usable training utterances: too few to hold valid and"):
        held_out(entries({None: 2}))
    assert [len(part) for part in held_out(entries({None: 3}))[0].values()] == [1, 1, 1]


def test_missing_recordings_are_the_reason(tmp_path: Path) -> None:
    write_list(tmp_path / "train.tsv", [("gone.wav", "a"), ("lost.wav", "b")])
    with pytest.raises(BenchError, match=r"holds 0 usable .*2 no audio.*train.tsv, line 2: .*gone"):
        listed(tmp_path)


def test_one_list_without_splits(tmp_path: Path) -> None:
    rows = [(f"{number}.wav", TEXTS[number % 4]) for number in range(12)]
    for name, text in rows:
        record(tmp_path / "own" / name, text)
    write_list(tmp_path / "own/mine.tsv", rows)
    assert find_splits(tmp_path / "own") == {"train": tmp_path / "own/mine.tsv"}
    sizes = [len(part) for part in listed(tmp_path / "own").corpus.splits.values()]
    assert sizes == [10, 1, 1]
    (tmp_path / "own/mine.tsv").unlink()
    for name, text in rows:
        (tmp_path / "own" / name).with_suffix(".txt").write_text(text)
    assert [len(part) for part in listed(tmp_path / "own").corpus.splits.values()] == sizes


# Units ------------------------------------------------------------------------------------------

LEXICON = {"cab": ("K", "AE", "B"), "a": ("AH",)}


@pytest.mark.parametrize(
    ("text", "units", "lexicon", "labels"),
    [
        (" a  cab\t", "characters", None, ("a", "_", "c", "a", "b")),
        ("caf\u0065\u0301", "characters", None, ("c", "a", "f", "\u00e9")),
        ("\u0915\u093f", "characters", None, ("\u0915", "\u093f")),
        ("A  cab, a", "words", None, ("A", "cab,", "a")),
        ("AE B", "phones", None, ("AE", "B")),
        ("a Cab", "phones", LEXICON, ("AH", "K", "AE", "B")),
    ],
)
def test_units(text: str, units: Any, lexicon: Any, labels: tuple[str, ...]) -> None:
    assert cut(text, units, lexicon=lexicon, space="_") == labels


def test_a_lexicon_gives_first_pronunciations(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    assert read_lexicon(path) is None
    path.write_text(";;; comment\nA  AH\nA(2)  EY\npolish P AA\nPolish P OW\n\npolish X\n")
    found = read_lexicon(path)
    assert found is not None
    assert {word: found[word] for word in ("A", "a", "polish", "Polish")} == {
        "A": ("AH",),
        "a": ("AH",),
        "polish": ("P", "AA"),
        "Polish": ("P", "OW"),
    }
    for text, message in (("word\n", "line 1: the word 'word' has no"), ("\n", "holds no word")):
        path.write_text(text)
        with pytest.raises(BenchError, match=message):
            read_lexicon(path)


def test_phones_by_the_lexicon_of_the_folder(tmp_path: Path) -> None:
    folder = own_lists(tmp_path / "own")
    assert listed(folder, units="phones").units == "phones"
    (folder / "lexicon.txt").write_text("".join(f"{w} {' '.join(w)}\n" for w in _words()))
    own = listed(folder, units="phones")
    assert own.units == "phones by lexicon.txt"
    assert own.corpus.unit == "phone"
    assert own.corpus.splits["train"][2].labels == ("b", "a", "c", "a", "b")


def _words() -> list[str]:
    return [word for texts in SPLITS.values() for text in texts for word in text.split()]


def test_an4_as_own_recordings_is_an4(bench_data: Path, tmp_path: Path) -> None:
    """Phones by its dictionary, by the card's layout and by lists."""
    whole = list_speech(card_spec("an4"), task="an4", path=bench_data / "an4")
    (tmp_path / "lexicon.txt").write_bytes((bench_data / "an4/etc/an4.dic").read_bytes())
    lines = [
        line
        for name in ("train", "test")
        for line in (bench_data / f"an4/etc/an4_{name}.transcription").read_text().splitlines()
    ]
    said = {line.split("(")[-1].rstrip(") "): line.partition("(")[0] for line in lines}
    for split, part in whole.splits.items():
        rows = [
            (str(u.audio), said[u.id].replace("<s>", "").replace("</s>", ""), u.speaker)
            for u in part
        ]
        write_list(tmp_path / f"{split}.tsv", rows, header="path transcript speaker")
    own = list_own(SPEC, DataConfig(path=str(tmp_path), units="phones"), task="speech").corpus
    assert own.problems == ()
    assert own.labels == whole.labels
    for split, part in whole.splits.items():
        assert [u.labels for u in own.splits[split]] == [u.labels for u in part]
        assert [u.speaker for u in own.splits[split]] == [u.speaker for u in part]
    assert own.recordings.sample_rate_hz == 16000
    some = own.splits["test"][0]
    expected = whole.recordings.samples(whole.splits["test"][0])
    assert np.array_equal(own.recordings.samples(some), expected)


# Bad entries ------------------------------------------------------------------------------------


def replace_line(path: Path, number: int, line: str | bytes) -> None:
    lines = path.read_bytes().splitlines()
    lines[number - 1] = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(b"\n".join([*lines, b""]))


BAD_LINES: list[tuple[str, int, str | bytes, str, str]] = [
    ("train.tsv", 3, "audio/gone.wav\ta", "no audio", "audio/gone.wav is not there"),
    ("train.tsv", 3, "audio/train1.wav\t ", "empty transcript", "no text"),
    ("train.tsv", 3, "audio/train1.wav", "bad line", "1 fields where the header has 2"),
    ("train.tsv", 3, "\tcab", "bad line", "no path of a recording"),
    ("train.tsv", 3, "audio/train1.wav\ta_b", "bad transcript", "it holds '_'"),
    ("train.tsv", 3, b"audio/train1.wav\ta\xff", "bad transcript", "is not UTF-8"),
    ("test.tsv", 2, "audio/test0.wav\tabd", "unknown character", "'d' is in no training"),
    ("test.tsv", 2, "audio/train0.wav\ta b", "listed twice", "train.tsv, line 2 already"),
]


@pytest.mark.parametrize(("name", "number", "line", "kind", "detail"), BAD_LINES)
def test_a_bad_line_is_refused_or_skipped(
    tmp_path: Path, name: str, number: int, line: str | bytes, kind: str, detail: str
) -> None:
    folder = own_lists(tmp_path / "own")
    replace_line(folder / name, number, line)
    check_refused_and_skipped(folder, kind, f"{folder / name}, line {number}: ", detail)


@pytest.mark.parametrize(
    ("units", "kind", "detail"),
    [("words", "unknown word", "'ba' is in no"), ("phones", "unknown phone", "'ba' is in no")],
)
def test_units_that_training_lacks(tmp_path: Path, units: str, kind: str, detail: str) -> None:
    folder = own_lists(tmp_path / "own")
    with pytest.raises(BenchError, match=f"valid.tsv, line 2: {detail}"):
        prepared(folder, units=units)
    skipped = prepared(folder, units=units, on_bad="skip").skipped
    assert {problem.kind for problem in skipped} == {kind}


def check_refused_and_skipped(folder: Path, kind: str, place: str, detail: str) -> None:
    with pytest.raises(BenchError) as caught:
        prepared(folder)
    message = str(caught.value)
    for part in (f"1 bad utterance (1 {kind})", place, detail, "--data.on-bad skip"):
        assert part in message
    assert "\n" not in message
    data = prepared(folder, on_bad="skip")
    assert [problem.kind for problem in data.skipped] == [kind]
    assert sum(map(len, data.splits.values())) == 8


@pytest.mark.parametrize(
    ("change", "kind", "detail"),
    [
        ({"x.txt": None}, "no transcript", "neither x.txt nor a line in *.trans.txt"),
        ({"x.wav": None, "y.wav": "a", "y.txt": "a"}, "no audio", "x.txt stands without"),
        ({"x.txt": "\n"}, "empty transcript", "x.txt: no text"),
        ({"x.txt": "a\0"}, "bad transcript", "x.txt, line 1: it holds a null byte"),
        ({"z.trans.txt": "z a\n"}, "no audio", "z.trans.txt, line 1: z is not there"),
        ({"x.flac": "a"}, "listed twice", "already"),
    ],
)
def test_a_bad_transcript_beside_a_recording(
    tmp_path: Path, change: dict[str, str | None], kind: str, detail: str
) -> None:
    beside(tmp_path / "own")
    place = tmp_path / "own/train/s0"
    for name, text in change.items():
        if text is None:
            (place / name).unlink()
        elif name.endswith(".txt"):
            (place / name).write_text(text)
        else:
            record(place / name, text, kind="FLAC" if name.endswith("flac") else "WAV")
    (problem,) = listed(tmp_path / "own").corpus.problems
    assert (problem.kind, problem.split) == (kind, "train")
    assert detail in problem.detail
    assert str(place) in problem.detail
