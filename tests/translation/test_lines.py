"""Lines in and out: order, empty lines, encodings, formats, attention."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import BenchError
from bench.data.decoding import decode_lines
from bench.translation import translate as module
from bench.translation.rescoring import read_candidates
from bench.translation.scoring import Translation
from bench.translation.translate import (
    Alignment,
    Format,
    alignment_json,
    draw_alignment,
    formatted,
    translated,
)
from bench.translation.translator import Translator


class Backwards(Translator):
    """Translates by reading backwards, the k-th best with k marks behind it."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def translate(self, lines: Sequence[str], *, num_best: int = 1) -> list[list[Translation]]:
        assert all(line.strip() for line in lines)
        self.calls.append(len(lines))
        return [
            [reversed_line(line[::-1] + "!" * k, -1.0 - k, -0.5 - k) for k in range(num_best)]
            for line in lines
        ]


def reversed_line(text: str, log_prob: float, score: float) -> Translation:
    return Translation(
        tokens=(),
        text=text,
        tokenised=" ".join(text),
        log_prob=log_prob,
        score=score,
        attention_TS=None,
    )


def output(content: bytes, form: Format = "text", num_best: int = 1) -> list[str]:
    found = translated(decode_lines(io.BytesIO(content), "input"), Backwards(), num_best=num_best)
    return [line for i, (_, best) in enumerate(found) for line in formatted(i, best, form)]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"ab\ncd\n", ["ba", "dc"]),
        (b"ab\ncd", ["ba", "dc"]),
        (b"ab\r\ncd\r\n", ["ba", "dc"]),
        (b"\nab\n \t\ncd\n\n", ["", "ba", "", "dc", ""]),
        (b"", []),
        ("é\u2028f\n".encode(), ["f\u2028é"]),  # no line ends here
    ],
)
def test_a_line_out_for_each_line_in(content: bytes, lines: list[str]) -> None:
    assert output(content) == lines


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(b"ab%d\n" % number for number in range(7)) + b"\n" * 5
    whole = output(content)
    monkeypatch.setattr(module, "CHUNK_LINES", 3)
    translator = Backwards()
    list(translated(decode_lines(io.BytesIO(content), "input"), translator, num_best=1))
    assert output(content) == whole
    assert translator.calls == [3, 3, 1]


def test_lists_are_as_moses_writes_them() -> None:
    lines = output(b"ab\n\ncd\n", "moses", num_best=2)
    assert lines[0] == "0 ||| ba ||| log_prob= -1.000000 ||| -0.500000"
    read = list(read_candidates(lines, name="output", num_sentences=3))
    assert [(c.sentence, c.text) for c in read] == [(0, "ba"), (0, "ba!"), (2, "dc"), (2, "dc!")]
    assert read[3].values() == {"log_prob": -2.0}


def test_json_lines() -> None:
    first, second = (json.loads(line) for line in output(b"ab\n", "json", num_best=2))
    assert first == {
        "sentence": 0,
        "rank": 1,
        "text": "ba",
        "tokenised": "b a",
        "log_prob": -1.0,
        "score": -0.5,
    }
    assert second["rank"] == 2


def test_another_encoding_is_named_with_its_line() -> None:
    with pytest.raises(BenchError, match=r"input, line 2: byte 3 of it is not UTF-8"):
        output(b"ab\nca\xe9\n")


ALIGNMENT = Alignment(
    source=["der", "$5-Hund", "</s>"],
    target=["the", "dog_", "</s>"],
    weights=np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]]),
)


def test_weights_as_json() -> None:
    line = json.loads(alignment_json(4, ALIGNMENT))
    assert line["sentence"] == 4
    assert line["source"] == ["der", "$5-Hund", "</s>"]
    assert line["attention"] == [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_weights_as_a_picture(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "maps" / f"sentence-0.{ending}"
    draw_alignment(ALIGNMENT, path)
    assert path.stat().st_size > 1000
