"""The command line: what is refused and how, what is printed where, what costs no import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CommandLine, Said, program, surroundings
from tiny_task import RUN, make_suite

from bench.cli import app

VERBS = [name for name in app if not name.startswith("-")]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return make_suite(tmp_path / "mine")


def test_the_program_refuses_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    said = program("run", "--task", "ptbb", "--model", "scrn", folder=tmp_path)
    assert said.only_line == "bench: unknown task 'ptbb', did you mean 'ptb'?\n"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_shows_examples(bench: CommandLine, verb: str) -> None:
    said = bench(verb, "--help")
    assert (said.status, said.err) == (0, "")
    examples = [line.strip() for line in said.out.splitlines() if f" bench {verb} " in f" {line}"]
    assert len(examples) >= 2
    assert all(f"{line} ".count(f"bench {verb} ") == 1 for line in examples)


def test_help_names_every_verb(bench: CommandLine) -> None:
    said = bench("--help")
    assert said.status == 0
    assert all(f" {verb} " in said.out for verb in VERBS)


LIGHT = [
    "--help",
    "run --help",
    "list tasks",
    "list models",
    "list runs",
    "table ptb",
    "table ptb --format json",
    "table synthetic-text",
]


@pytest.mark.parametrize("call", LIGHT)
def test_listing_and_tables_import_nothing_heavy(tmp_path: Path, call: str) -> None:
    code = (
        "import sys\n"
        "from bench.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'pytorch_lightning', 'lightning', 'wandb', 'scipy.stats'}\n"
        "    if sys.argv[1] != 'table':\n"  # whose intervals need scipy.special
        "        heavy |= {'numpy', 'scipy'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *call.split()],
        cwd=tmp_path,
        env=surroundings(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "heavy: []\n"
    assert done.stdout.strip()


def test_a_printed_configuration_reads_back_as_itself(bench: CommandLine, tmp_path: Path) -> None:
    call = ("run", "--task", "ptb", "--print-config")
    first = bench(*call, "--model", "scrn", "--optim.lr", "0.25", "--seed", 7)
    assert first.status == 0
    path = tmp_path / "printed.yaml"
    path.write_text(first.out)
    again = bench(*call, "--config", path)
    assert again == first
    assert "lr: 0.25\n" in again.out


def test_a_run_prints_its_progress_and_a_summary(bench: CommandLine, suite: Path) -> None:
    said = bench(*RUN, "--suite", suite)
    lines = said.err.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert all(word in lines[0] for word in ("train", "valid", "perplexity", "lr", "tokens/s"))
    assert "\x1b" not in said.err + said.out
    (record,) = (suite / "results" / "tiny" / "runs").glob("*.json")
    metrics = json.loads(record.read_bytes())["metrics"]
    assert said.out.startswith("tiny · srn · seed 1\n")
    assert f"test perplexity {metrics['test']:.2f} (validation {metrics['valid']:.2f})" in said.out
    assert "above the best possible" in said.out
    assert f"record  {record}" in said.out


@pytest.mark.slow
def test_quiet_prints_nothing_even_while_tracked(suite: Path, tmp_path: Path) -> None:
    call = [*RUN[:-1], "wandb", "--suite", suite, "--quiet"]
    assert program(*call, folder=tmp_path) == Said(status=0, out="", err="")
    assert list((suite / "results" / "tiny" / "runs").glob("*.json"))
    assert not (tmp_path / "wandb").exists()


def test_what_is_done_is_not_done_twice_unless_asked(bench: CommandLine, suite: Path) -> None:
    first = bench(*RUN, "--suite", suite)
    (record,) = (suite / "results" / "tiny" / "runs").glob("*.json")
    written = record.read_bytes()
    second = bench(*RUN, "--suite", suite)
    assert second.err == f"run {record.stem} was done before; --again would do it anew\n"
    assert second.out == first.out
    assert record.read_bytes() == written
    anew = bench(*RUN, "--suite", suite, "--again")
    assert anew.err.startswith("epoch 1/2")
    assert json.loads(record.read_bytes())["metrics"] == json.loads(written)["metrics"]
    assert record.read_bytes() != written


def test_a_diverged_run_is_a_record_without_a_value(bench: CommandLine, suite: Path) -> None:
    said = bench(*RUN, "--suite", suite, "--optim.name", "sgd", "--optim.lr", "1e6")
    assert said.status == 0
    assert "diverged in epoch 1 at step " in said.out
    assert "try a smaller --optim.lr" in said.out
    (path,) = (suite / "results" / "tiny" / "runs").glob("*.json")
    record = json.loads(path.read_bytes())
    assert (record["status"], record["metrics"]) == ("diverged", {})
    assert record["divergence"]["step"] >= 1
    assert record["divergence"]["gradient_norm"] > 0
    assert path.stem in bench("list", "runs", "--suite", suite).out


@pytest.mark.parametrize("spoilt", ["results", "artifacts"])
def test_a_folder_that_cannot_be_written_is_refused_before_training(
    bench: CommandLine, suite: Path, spoilt: str
) -> None:
    (suite / spoilt).write_text("a file where a folder should be")
    line = bench(*RUN, "--suite", suite).only_line
    assert str(suite / spoilt) in line
    assert "cannot write here" in line
    assert not list(suite.rglob("weights.pt"))


@pytest.mark.parametrize("call", ["list runs", "table tiny", "run"])
def test_a_spoilt_record_is_named(bench: CommandLine, suite: Path, call: str) -> None:
    assert bench(*RUN, "--suite", suite).status == 0
    (record,) = (suite / "results" / "tiny" / "runs").glob("*.json")
    record.write_bytes(record.read_bytes()[:100])
    line = bench(*(RUN if call == "run" else call.split()), "--suite", suite).only_line
    assert f"{record}: not a record" in line
    assert "restore it or delete it" in line


def test_a_card_of_ones_own_is_listed_beside_the_others(bench: CommandLine, suite: Path) -> None:
    tasks = [line.split()[0] for line in bench("list", "tasks", "--suite", suite).out.splitlines()]
    assert {"tiny", "ptb", "synthetic-text"} <= set(tasks)
    said = bench("data", "tiny", "--suite", suite)
    assert "tokens: train 2,000, valid 400, test 300" in said.out


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ("num_topics", "num_topic", "unknown key 'corpus.num_topic', did you mean 'num_topics'?"),
        ("kind: synthetic-text", "kind: texts", "'texts' is none of text, synthetic-text, speech,"),
        ("direction: min", "direction: up", "metric.direction: 'up' is none of min, max"),
        ("objective:", "objectiv:", "unknown key 'objectiv', did you mean 'objective'?"),
        ("task: tiny", "task: small", "task is 'small', expected the file's name 'tiny'"),
        ("version: 1", "version: 1\nversion: 2", "line 4: key 'version' is given twice"),
    ],
)
def test_a_spoilt_card_is_named(
    bench: CommandLine, suite: Path, right: str, wrong: str, named: str
) -> None:
    card = suite / "tasks" / "tiny.yaml"
    card.write_text(card.read_text().replace(right, wrong, 1))
    line = bench("list", "tasks", "--suite", suite).only_line
    assert line.startswith(f"bench: {card}: ")
    assert named in line


def test_table_as_json_is_a_list_of_rows_with_fixed_keys(bench: CommandLine, suite: Path) -> None:
    keys = "label model config metric published measured difference protocol verified verdict"
    for task in ("ptb", "tiny"):
        bench(*RUN, "--suite", suite)
        rows = json.loads(bench("table", task, "--format", "json", "--suite", suite).out)
        assert rows
        assert all({*keys.split(), "records"} <= set(row) for row in rows)
    (measured,) = [row["measured"] for row in rows if row["model"] == "srn"]
    assert {"mean", "std", "n"} <= set(measured)
    assert measured["n"] == 1


def test_table_into_a_file(bench: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "made" / "ptb.tex"
    assert bench("table", "ptb", "--format", "latex", "--out", path).out == ""
    assert "\\begin{tabular}" in path.read_text()
    line = bench("table", "ptb", "--out", path / "below-a-file.md").only_line
    assert "cannot write there" in line


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "table", "ptb"],
        cwd=tmp_path,
        env=surroundings(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_data_that_is_not_there_is_described(
    bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "empty"))
    cache = str(tmp_path / "empty" / "ptb")
    digest = "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"
    listed = bench("data", "ptb")
    assert listed.status == 2
    assert listed.out.count(" missing") == 3
    line = bench("run", "--task", "ptb", "--model", "srn", "--suite", tmp_path).only_line
    assert listed.err == line
    for split in ("train", "valid", "test"):
        assert f"ptb.{split}.txt (sha256 " in line
    for part in (digest, cache, "BENCH_DATA", "--fetch", "--task synthetic-text"):
        assert part in line


def test_generated_data_needs_no_file(bench: CommandLine) -> None:
    said = bench("data", "synthetic-text")
    assert said.status == 0
    assert "generated; 321 types; tokens: train 300,000" in said.out
