"""Downloads from mirrors (a loopback server stands for them): fetched, refused, left alone."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cards import card_of

from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.corpora import load_corpus
from bench.data.files import FileSpec, Mirror
from bench.data.sources import locate
from bench.text.data.prepared import as_text
from bench.text.data.specification import TextSpec

TASKS = Path(__file__).parents[2] / "tasks"
TEXT = {"train": b"a b\nb <unk>\n", "valid": b"a\n", "test": b"b b\n"}
MEMBERS = {name: f"{name}.txt" for name in TEXT}


def zipped(texts: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in texts.items():
            archive.writestr(f"tiny/{name}.txt", content)
    return stream.getvalue()


ARCHIVE = zipped(TEXT)
SERVED = {
    **{f"/good/{name}.txt": content for name, content in TEXT.items()},
    **{f"/half/{name}.txt": content for name, content in TEXT.items() if name != "test"},
    **{f"/wrong/{name}.txt": content.replace(b"a", b"c") for name, content in TEXT.items()},
    **{f"/long/{name}.txt": content * 2 for name, content in TEXT.items()},
    "/tiny.zip": ARCHIVE,
    "/broken.zip": ARCHIVE[: len(ARCHIVE) // 2],
    "/wrong.zip": zipped({**TEXT, "valid": b"b\n"}),
    "/lacking.zip": zipped({"train": TEXT["train"]}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.replace("/cut/", "/good/")
        if name not in SERVED:
            self.send_error(404)
            return
        content = SERVED[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:-1] if "/cut/" in self.path else content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def spec_of(*mirrors: Mirror, sized: bool = True) -> TextSpec:
    files = {
        name: FileSpec(
            path=f"{name}.txt",
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content) if sized else None,
        )
        for name, content in TEXT.items()
    }
    return TextSpec(
        unit="word",
        licence="none",
        end_of_sentence="<eos>",
        folder="tiny",
        files=files,
        mirrors=mirrors,
    )


def plain(url: str) -> Mirror:
    return Mirror(url=url, members=MEMBERS)


def archive(url: str, **facts: str) -> Mirror:
    members = {name: f"tiny/{name}.txt" for name in TEXT}
    return Mirror(url=url, members=members, unpack="zip", **facts)  # type: ignore[arg-type]


def put(folder: Path, texts: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        (folder / f"{name}.txt").write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in folder.glob("*.txt")}


def test_nothing_is_fetched_unasked(server: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="missing files"):
        load_corpus(card_of(spec_of(plain(f"{server}/good/"))))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "mirrors",
    [
        ["/good/"],
        ["/absent/", "/good/"],
        ["/wrong/", "/good/"],
        ["/cut/", "/good/"],
        ["/long/", "/good/"],
        ["/half/", "/good/"],
        ["/tiny.zip"],
        ["/broken.zip", "/wrong.zip", "/lacking.zip", "/tiny.zip"],
    ],
)
@pytest.mark.parametrize("sized", [True, False])
def test_the_first_correct_mirror_is_used(
    server: str, tmp_path: Path, mirrors: list[str], sized: bool
) -> None:
    made = [archive(server + m) if m.endswith("zip") else plain(server + m) for m in mirrors]
    seen: list[str] = []
    found = load_corpus(
        card_of(spec_of(*made, sized=sized)),
        DataConfig(download="missing"),
        progress=lambda name, done, total: seen.append(f"{name} {done} {total}"),
    )
    corpus = as_text(found, task="tiny")
    assert contents(tmp_path / "cache/tiny") == TEXT
    assert len(corpus.splits["test"]) == 3
    assert seen
    left = {path.name for path in (tmp_path / "cache/tiny").iterdir()} - {".lock"}
    assert left == set(MEMBERS.values())  # no half-written file stays behind


@pytest.mark.parametrize(
    ("mirror", "why"),
    [
        ("/absent/", "404"),
        ("/wrong/", "sha256"),
        ("/cut/", "truncated"),
        ("/long/", "longer than the 12 bytes"),
        ("/broken.zip", "cannot be unpacked"),
        ("/wrong.zip", r"valid.txt: altered: sha256"),
        ("/lacking.zip", "cannot be unpacked"),
    ],
)
def test_a_wrong_byte_is_refused(server: str, tmp_path: Path, mirror: str, why: str) -> None:
    made = archive if mirror.endswith("zip") else plain
    with pytest.raises(BenchError, match=why):
        locate(spec_of(made(server + mirror)), task="tiny", download="missing")
    kept = contents(tmp_path / "cache/tiny")
    assert kept == {name: TEXT[name] for name in kept}


def test_an_archive_with_another_checksum_is_not_opened(server: str) -> None:
    spec = spec_of(archive(f"{server}/tiny.zip", sha256="0" * 64))
    with pytest.raises(BenchError, match=r"tiny.zip: altered: sha256"):
        locate(spec, task="tiny", download="missing")


def test_nothing_is_overwritten(server: str, tmp_path: Path) -> None:
    mine = {"train": b"mine\n"}
    put(tmp_path / "cache/tiny", mine)
    with pytest.raises(BenchError, match=r"train.txt: truncated"):
        load_corpus(card_of(spec_of(plain(f"{server}/good/"))), DataConfig(download="missing"))
    assert contents(tmp_path / "cache/tiny") == {**TEXT, **mine}


def test_a_file_without_a_known_checksum_is_not_fetched(server: str, tmp_path: Path) -> None:
    spec = spec_of(plain(f"{server}/good/"))
    files = {**spec.files, "test": FileSpec(path="test.txt")}
    spec = msgspec.structs.replace(spec, files=files)
    with pytest.raises(BenchError, match=r"no checksum of test.txt.*by hand"):
        locate(spec, task="tiny", download="missing")
    put(tmp_path / "cache/tiny", {"test": TEXT["test"]})
    assert locate(spec, task="tiny", download="missing") == tmp_path / "cache/tiny"
