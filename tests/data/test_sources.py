"""Search for corpora, the message when one is missing, and folders of the user's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bench.core.cards import read_card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.corpora import load_corpus
from bench.data.files import FileSpec, Mirror
from bench.data.sources import corpus_files, locate, status
from bench.text.data.prepared import as_text
from bench.text.data.specification import TextSpec, VocabularySpec

TASKS = Path(__file__).parents[2] / "tasks"
TEXT = {"train": b"a b\nb <unk>\n", "valid": b"a\n", "test": b"b b\n"}
SPEC = TextSpec(
    unit="word",
    licence="none",
    end_of_sentence="<eos>",
    folder="tiny",
    files={
        name: FileSpec(path=f"{name}.txt", sha256=hashlib.sha256(content).hexdigest())
        for name, content in TEXT.items()
    },
    mirrors=(Mirror(url="http://127.0.0.1:9/", members={name: f"{name}.txt" for name in TEXT}),),
)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def put(folder: Path, texts: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        (folder / f"{name}.txt").write_bytes(content)
    return folder


def test_bench_data_comes_before_the_cache(tmp_path: Path) -> None:
    cache = put(tmp_path / "cache/tiny", TEXT)
    assert locate(SPEC, task="tiny") == cache
    data = put(tmp_path / "data/tiny", {"train": TEXT["train"]})
    assert locate(SPEC, task="tiny") == cache  # not a folder that holds a part of it
    put(data, TEXT)
    assert locate(SPEC, task="tiny") == data
    own = put(tmp_path / "own", TEXT)
    assert locate(SPEC, task="tiny", path=own) == own


def test_one_message_says_all_that_is_needed_offline(tmp_path: Path) -> None:
    put(tmp_path / "data/tiny", {"train": TEXT["train"]})
    with pytest.raises(BenchError) as caught:
        locate(SPEC, task="tiny", twin="synthetic-text")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        f"valid.txt (sha256 {SPEC.files['valid'].sha256})",
        f"test.txt (sha256 {SPEC.files['test'].sha256})",
        str(tmp_path / "data/tiny"),
        str(tmp_path / "cache/tiny"),
        "bench data tiny --fetch",
        "--task synthetic-text",
    ):
        assert part in message
    assert "train.txt" not in message


def test_status_tells_each_file_apart(tmp_path: Path) -> None:
    data = put(tmp_path / "data/tiny", {"train": TEXT["train"], "valid": b"c\n"})
    found = {file.path: file.state for file in status(SPEC)}
    assert found[data / "train.txt"] == "verified"
    assert found[data / "valid.txt"] == "altered"
    assert found[data / "test.txt"] == "missing"
    assert found[tmp_path / "cache/tiny/test.txt"] == "missing"


def test_status_of_the_real_files(bench_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(bench_data))
    spec = read_card(TASKS / "ptb.yaml").corpus
    assert isinstance(spec, TextSpec)
    assert [file.state for file in status(spec)][:3] == ["verified"] * 3
    assert locate(spec, task="ptb") == bench_data / "ptb"


@pytest.mark.parametrize(
    "names",
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
        ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
        ("my-training", "my_dev.en", "TEST.TXT"),
    ],
)
def test_own_files_are_found_by_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, content in zip(names, TEXT.values(), strict=True):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "README.md").write_text("about")
    found = load_corpus(read_card(TASKS / "text.yaml"), DataConfig(path=str(tmp_path)))
    corpus = as_text(found, task="text")
    assert [len(corpus.splits[split]) for split in TEXT] == [6, 2, 3]
    assert list(corpus.checksums) == list(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train.txt", "test.txt"), "no valid text.*valid.txt"),
        (("train.txt", "valid.txt", "test.txt", "a.test.txt"), r"several test texts \(a.test.txt"),
    ],
)
def test_an_ambiguous_folder_is_an_error(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"a\n")
    spec = TextSpec(unit="word", licence="", unknown="?", vocabulary=VocabularySpec(policy="open"))
    with pytest.raises(BenchError, match=message):
        corpus_files(spec, tmp_path)


def test_own_text_needs_a_folder() -> None:
    with pytest.raises(BenchError, match=r"--data.path DIR"):
        load_corpus(read_card(TASKS / "text.yaml"))


def test_generated_text_reads_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"leave out --data.path"):
        load_corpus(read_card(TASKS / "synthetic-text.yaml"), DataConfig(path=str(tmp_path)))
