"""A run on a user's own data is named by its content, not by the spelling of its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_sweep import SWEEP

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.identity import check_same_data, file_sha256
from bench.domains import load_domain
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import run
from bench.sweep.specification import load_sweep
from bench.sweep.storage import default_url, open_storage
from bench.sweep.study import open_studies
from bench.text.evaluation import evaluate_run
from bench.text.mixture import mix_runs

TEXTS = ("the cat sat on the mat\n", "a dog ran to a red house\n")


def write_text(folder: Path, *, text: str = TEXTS[0], suffix: str = "txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, number in (("train", 40), ("valid", 5), ("test", 5)):
        (folder / f"{split}.{suffix}").write_text(text * number)
    return folder


def resolved(suite: Suite, path: Path | str, *, task: str = "text", **settings: object) -> Resolved:
    overrides = {
        "data": {"path": str(path)},
        "model": {"hidden_size": 4},
        "trainer": {"max_epochs": 1, "threads": 1},
        **settings,
    }
    return resolve(suite, task, model="srn", overrides=overrides)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "suite").mkdir()
    return Suite(folder=tmp_path / "suite")


def test_one_folder_under_any_spelling_is_one_run(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "own")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = ["own", "own/", "./own", str(tmp_path / "own"), "link", "~/own"]
    assert len({resolved(suite, spelling).run_id for spelling in spellings}) == 1


def test_equal_content_elsewhere_is_the_same_run(suite: Suite, tmp_path: Path) -> None:
    one, other = write_text(tmp_path / "one"), write_text(tmp_path / "other")
    assert resolved(suite, one).run_id == resolved(suite, other).run_id


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_other_content_is_another_run(suite: Suite, tmp_path: Path, split: str) -> None:
    own = write_text(tmp_path / "own")
    before = resolved(suite, own).run_id
    (own / f"{split}.txt").write_text(TEXTS[1] * 5)
    assert resolved(suite, own).run_id != before


def test_a_file_that_is_not_read_does_not_name_the_run(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    before = resolved(suite, own).run_id
    (own / "README").write_text("notes")
    assert resolved(suite, own).run_id == before


PINNED = """\
task: pinned
title: A text with checksums
version: 1
objective: language-model
description: Next word.
metric: {name: perplexity, direction: min}
protocol: One stream per split.
corpus: {kind: text, unit: word, end_of_sentence: <eos>, licence: none, folder: pinned,
  files: FILES}
"""


def test_the_folder_of_a_corpus_that_the_card_pins_is_only_a_place(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write_text(tmp_path / "data" / "pinned")
    files = {
        split: {"path": f"{split}.txt", "sha256": file_sha256(own / f"{split}.txt")}
        for split in ("train", "valid", "test")
    }
    (suite.folder / "tasks").mkdir()
    card = PINNED.replace("FILES", json.dumps(files))
    (suite.folder / "tasks" / "pinned.yaml").write_text(card)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    plain = resolve(suite, "pinned", model="srn", overrides={"model": {"hidden_size": 4}})
    elsewhere = resolved(suite, write_text(tmp_path / "elsewhere"), task="pinned")
    assert elsewhere.data_identity is plain.data_identity is None
    assert elsewhere.digest == resolved(suite, own, task="pinned").digest
    assert run(elsewhere, suite).signature.endswith("|eval:static")


def test_a_known_record_is_not_returned_for_other_data(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    first = run(resolved(suite, own), suite)
    write_text(own, text=TEXTS[1])
    second = run(resolved(suite, own), suite)
    assert first.id != second.id
    assert first.data != second.data
    assert first.metrics != second.metrics


def test_data_that_changes_while_it_is_read_is_refused(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    named = resolved(suite, own)
    assert named.run_id
    write_text(own, text=TEXTS[1])
    with pytest.raises(BenchError, match="changed while it was read"):
        run(named, suite)
    assert not suite.records("text")


def test_a_run_is_not_evaluated_on_other_data(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    record = run(resolved(suite, own), suite)
    write_text(own, text=TEXTS[0].replace("mat", "cat"))
    with pytest.raises(BenchError, match=r"test\.txt had sha256"):
        evaluate_run(suite, record.id, "dynamic", {})


def test_weights_of_a_run_on_other_data_are_not_started_from(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    record = run(resolved(suite, own), suite)
    write_text(own, text="the cat sat on the cat mat\n")
    with pytest.raises(BenchError, match=record.id):
        run(resolved(suite, own, init={"model": record.id}), suite)


def test_components_of_a_mixture_share_their_data(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    first = run(resolved(suite, own), suite)
    second = run(resolved(suite, own, seed=2), suite)
    write_text(own, text=TEXTS[1])
    third = run(resolved(suite, own), suite)
    with pytest.raises(BenchError, match="only runs of one signature"):
        mix_runs(suite, "text", [first.id, third.id])
    with pytest.raises(BenchError, match="was measured on other data"):
        mix_runs(suite, "text", [first.id, second.id])


def test_a_sweep_does_not_go_on_with_other_data(suite: Suite, tmp_path: Path) -> None:
    own = write_text(tmp_path / "own")
    (suite.folder / "sweeps").mkdir()
    fixed = {**SWEEP["fixed"], "data.path": str(own)}
    text = yaml.safe_dump({**SWEEP, "task": "text", "fixed": fixed})
    (suite.folder / "sweeps" / "small.yaml").write_text(text)
    sweep = load_sweep(suite, "small")
    storage = open_storage(default_url(suite, "small"), heartbeat_sec=1.0)
    open_studies(sweep, suite, storage)
    open_studies(sweep, suite, storage)
    write_text(own, text=TEXTS[1])
    with pytest.raises(BenchError, match="other data"):
        open_studies(sweep, suite, storage)
    open_studies(sweep, suite, storage, missing="refuse")  # its state may still be read


def test_a_users_own_pairs_are_named_by_their_content(suite: Suite, tmp_path: Path) -> None:
    for language in ("en", "fr"):
        write_text(tmp_path / "pairs", suffix=language)
    overrides = {"data": {"path": str(tmp_path / "pairs"), "languages": "en-fr"}}
    before = resolve(suite, "parallel-text", model="gru", overrides=overrides).run_id
    (tmp_path / "pairs" / "train.fr").write_text(TEXTS[1] * 40)
    assert resolve(suite, "parallel-text", model="gru", overrides=overrides).run_id != before


def test_missing_own_data_is_one_clear_line(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is no folder"):
        _ = resolved(suite, tmp_path / "nowhere").run_id
    (tmp_path / "file.txt").write_text("words")
    with pytest.raises(BenchError, match="is a file"):
        _ = resolved(suite, tmp_path / "file.txt").run_id


def test_a_file_is_hashed_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    first = file_sha256(path)
    path.write_text("two!")
    assert file_sha256(path) != first


def test_names_that_only_one_side_has_are_not_compared() -> None:
    check_same_data({"a": "1", "b": "2"}, {"a": "1", "c": "3"}, run="r")
    with pytest.raises(BenchError, match="b had sha256 2"):
        check_same_data({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, run="r")


@pytest.mark.parametrize("kind", ["text", "speech", "translation", "captions"])
def test_domains_that_read_own_data_say_what_it_is(kind: str) -> None:
    assert load_domain(kind).unpinned


def test_a_plan_without_the_licensed_corpus_can_be_made(suite: Suite) -> None:
    """TIMIT is not here: `bench reproduce timit --dry-run` plans all the same."""
    assert resolve(suite, "timit", model="lstm").run_id
