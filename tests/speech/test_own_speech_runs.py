"""Own recordings from the first look to the comparison of runs, through the command line."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine
from own_recordings import record, write_list

from bench.core.record import Record, read_record
from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.speech.metrics import word_error_rate

SETTINGS = {
    "model.hidden-size": 24,
    "model.direction": "bidirectional",
    "objective.stack-frames": 2,
    "objective.batch-frames": 400,
    "objective.dropout-input": 0,
    "objective.dropout-output": 0,
    "objective.beam-width": 8,
    "optim.lr": 0.02,
    "trainer.threads": 1,
}
SMALL = [word for key, value in SETTINGS.items() for word in (f"--{key}", value)]
QUIET = ("--track", "none", "--quiet")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with recordings of ten speakers in one list."""
    folder, draw = tmp_path_factory.mktemp("suite"), random.Random(1)
    rows = []
    for number in range(80):
        words = ["".join(draw.choices("abc", k=draw.randint(1, 3))) for _ in range(2)]
        text = " ".join(words[: draw.randint(1, 2)])
        record(folder / f"own/clips/{number}.wav", text, rate_hz=11025)
        rows.append((f"{number}.wav", text, f"s{number % 10}"))
    write_list(folder / "own/all.tsv", rows, header="path sentence client_id")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def trained(bench: CommandLine, suite: Path, *options: object, model: str = "gru") -> Record:
    """The record of a run that is carried out, or has been before."""
    words = ("run", "--task", "speech", "--data.path", suite / "own", "--model", model)
    known = set(suite.glob("results/speech/runs/*.json"))
    said = bench(*words, *SMALL, *QUIET, *options, "--suite", suite)
    assert said.status == 0, said
    (path,) = set(suite.glob("results/speech/runs/*.json")) - known
    return read_record(path)


def test_what_there_is(bench: CommandLine, suite: Path) -> None:
    said = bench("data", "speech", "--path", suite / "own")
    assert said.status == 0, said
    lines = said.out.splitlines()
    assert lines[0].startswith("splits: speakers of valid and test held out of train")
    assert lines[2].split() == ["11,025", "Hz", "1", "80"]
    assert lines[3] == "read at 11,025 Hz"
    assert lines[4] == "4 characters: _ a b c"
    assert [line.split()[:3] for line in lines[6:9]] == [
        ["train", "64", "8"],
        ["valid", "8", "1"],
        ["test", "8", "1"],
    ]
    assert lines[9].startswith("speech: counted; 4 characters; sha256: characters ")
    said = bench("data", "speech", "--path", suite / "own", "--resample", "8000")
    assert "resampled to 8,000 Hz" in said.out


def test_every_bad_utterance_is_told(bench: CommandLine, suite: Path, tmp_path: Path) -> None:
    (tmp_path / "own").symlink_to(suite / "own" / "clips")
    rows = [(f"own/{number}.wav", "abc"[number % 3]) for number in range(6)]
    write_list(tmp_path / "train.tsv", [*rows, ("own/gone.wav", "a")])
    write_list(tmp_path / "valid.tsv", [("own/70.wav", "abc d")])
    write_list(tmp_path / "test.tsv", [("own/71.wav", "a"), ("own/72.wav", "")])
    said = bench("data", "speech", "--path", tmp_path)
    assert said.status == 2
    assert "bench: speech: no usable utterance is left in the valid split: 3 bad" in said.err
    write_list(tmp_path / "valid.tsv", [("own/70.wav", "abc d"), ("own/73.wav", "a")])
    said = bench("data", "speech", "--path", tmp_path)
    assert said.status == 2
    kinds = {line.partition(": ")[0] for line in said.out.splitlines() if ".tsv, line " in line}
    assert kinds == {"no audio", "empty transcript", "unknown character"}


def test_a_small_network_learns_characters(bench: CommandLine, suite: Path) -> None:
    record = trained(bench, suite, "--trainer.max-epochs", 12)
    assert record.metric == "character-error-rate"
    definition = "character-error-rate|labels:4|scored:4(none)|edits:levenshtein|decoder:"
    assert re.fullmatch(re.escape(f"{definition}beam(8)|corpus:") + "[0-9a-f]{8}", record.signature)
    assert record.metrics["test"] < 10
    assert set(record.data) == {"characters", "samples"}
    spelt = "word-error-rate|spelt|edits:levenshtein|decoder:beam(8)"
    assert set(record.beside) == {spelt, f"{definition}greedy"}
    words = record.beside[spelt]
    assert record.metrics["test"] <= words["test"] <= 50
    said = bench("errors", record.id, "--suite", suite)
    assert said.status == 0, said
    assert re.search(r"^all +8 ", said.out, re.M)
    other = trained(bench, suite, "--trainer.max-epochs", 2, model="srn")
    said = bench("compare", record.id, other.id, "--suite", suite)
    assert said.status == 0, said
    assert "character-error-rate" in said.out
    assert "8 utterances of" in said.out
    table = bench("table", "speech", "--suite", suite).out
    assert record.signature in table
    assert "word-error-rate" in table
    said = bench("report", "--out", suite / "report.html", "--suite", suite)
    assert said.status == 0, said


@pytest.mark.parametrize("units", ["words", "phones"])
def test_words_and_phones_have_metrics_of_their_own(
    bench: CommandLine, suite: Path, units: str
) -> None:
    if units == "phones":
        lexicon = "".join(f"{w} {' '.join(w.upper())}\n" for w in sorted(words_of(suite)))
        (suite / "own/lexicon.txt").write_text(lexicon)
    record = trained(
        bench, suite, "--data.units", units, "--data.on-bad", "skip", "--trainer.max-epochs", 1
    )
    assert record.metric == f"{units.removesuffix('s')}-error-rate"
    assert record.signature.startswith(f"{record.metric}|labels:")
    assert not any("spelt" in signature for signature in record.beside)
    assert set(record.data) == {units, "samples"}
    assert bench("errors", record.id, "--suite", suite).status == 0


def words_of(suite: Path) -> set[str]:
    lines = (suite / "own/all.tsv").read_text().splitlines()[1:]
    return {word for line in lines for word in line.split("\t")[1].split()}


def test_a_transducer_reads_them_too(bench: CommandLine, suite: Path) -> None:
    record = trained(
        bench, suite, "--objective", "transducer", "--trainer.max-epochs", 1, model="lstm"
    )
    assert record.metric == "character-error-rate"
    assert "|decoder:beam(8)|corpus:" in record.signature
    assert bench("errors", record.id, "--suite", suite).status == 0


def test_a_run_is_named_by_sound_and_transcripts(suite: Path, tmp_path: Path) -> None:
    shutil.copytree(suite / "own", tmp_path / "copy")

    def name(path: Path, **data: str) -> str:
        overrides = {"data": {"path": str(path), **data}}
        return resolve(Suite(folder=suite), "speech", model="gru", overrides=overrides).run_id

    whole = name(suite / "own")
    assert name(tmp_path / "copy") == name(tmp_path / "copy/../copy") == whole
    assert name(tmp_path / "copy", units="words") != whole
    text = (tmp_path / "copy/all.tsv").read_text()
    (tmp_path / "copy/all.tsv").write_text(text.replace("\ts3\n", "\ts2\n"))
    assert name(tmp_path / "copy") != whole  # other speakers are held out
    (tmp_path / "copy/all.tsv").write_text(text)
    record(tmp_path / "copy/clips/5.wav", "ab", rate_hz=11025)
    assert name(tmp_path / "copy") != whole


@pytest.mark.parametrize(
    ("reference", "hypothesis", "rate"),
    [
        ("ab_c", "ab_c", 0.0),
        ("ab_c", "ab__c_", 0.0),
        ("ab_c", "abc", 100.0),
        ("ab_c", "ab_d_e", 100.0),
        ("ab_c", "", 100.0),
        ("ab_c_d_e", "ab_c_e_e", 25.0),
    ],
)
def test_words_are_spelt_by_characters(reference: str, hypothesis: str, rate: float) -> None:
    assert word_error_rate([(reference, hypothesis)], space="_") == rate
