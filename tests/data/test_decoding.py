"""One decoding for all text: what is read alike, and what is refused by file, line and remedy."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.data.decoding import (
    decode_lines,
    encoding_fault,
    is_clean,
    line_fault,
    read_text_lines,
)

GOOD = "the cat sat\nl\u2019eau é\tहिन्दी\n"
FAULTS = {
    "null byte": b"a cat\0\nb\n",
    "U+FFFD": "a c\ufffdt\nb\n".encode(),
    "U+FEFF": "a \ufeffcat\nb\n".encode(),
    "carriage return": b"a cat\rb dog\rc\n",
    "U+0007": b"a \x07 cat\nb\n",
    "U+001C": b"a \x1c cat\nb\n",
    "U+000B": b"a \x0b cat\nb\n",
    "U+007F": b"a \x7f cat\nb\n",
    "U+0085": "a \x85 cat\nb\n".encode(),
    "not UTF-8": b"caf\xe9 au lait\nb\n",
}
WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_at_the_start_and_line_ends_of_either_kind_are_read_alike(
    tmp_path: Path, start: str, end: str
) -> None:
    content = (start + GOOD.replace("\n", end)).encode()
    path = tmp_path / "text"
    path.write_bytes(content)
    expected = GOOD.splitlines()
    assert read_text_lines(path) == expected
    assert list(decode_lines(content.splitlines(keepends=True), "input")) == expected
    (tmp_path / "text.gz").write_bytes(gzip.compress(content))
    assert read_text_lines(tmp_path / "text.gz") == expected
    assert is_clean(content.removeprefix("\ufeff".encode()))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_line(tmp_path: Path, fault: str) -> None:
    content = b"a good line\n" + FAULTS[fault]
    path = tmp_path / "text"
    path.write_bytes(content)
    assert not is_clean(content)
    with pytest.raises(BenchError, match="line 2: ") as refused:
        read_text_lines(path)
    assert fault in str(refused.value) or fault in ("null byte", "carriage return")
    with pytest.raises(BenchError, match="input, line 2: "):
        list(decode_lines(content.splitlines(keepends=True) if b"\r" not in content else
                          content.split(b"\n"), "input"))  # fmt: skip


@pytest.mark.parametrize("encoding", WIDE)
def test_other_encodings_are_named_with_the_remedy(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(("the cat sat on a mat\n" * 20).encode(encoding))
    with pytest.raises(BenchError, match="iconv -f utf-"):
        read_text_lines(path)


def test_text_of_one_script_without_ascii_is_not_taken_for_another_encoding() -> None:
    assert encoding_fault(("हिन्दी 中文 ไทย\n" * 50).encode()) is None
    assert encoding_fault(b"") is None
    assert encoding_fault(b"\0" * 4096) is None  # which the lines refuse


def test_a_quick_look_and_a_slow_one_agree_on_every_character() -> None:
    for code in range(0x3000):
        character = chr(code)
        if character == "\n":
            continue
        raw = f"a{character}b".encode()
        assert is_clean(raw) == (line_fault(raw) is None), hex(code)


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"")
    assert read_text_lines(path) == []


def test_a_file_that_is_not_compressed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.gz"
    path.write_bytes(b"plain")
    with pytest.raises(BenchError, match="cannot be decompressed"):
        read_text_lines(path)
