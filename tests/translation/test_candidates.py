"""Lists of other systems: what is read of a line, what is passed on, what is refused."""

from __future__ import annotations

import re

import pytest

from bench.core.errors import BenchError
from bench.translation.rescoring import Candidate, read_candidates

MOSES = (
    "3 ||| das kleine Haus ||| LexicalReordering0= -1.5 0 Distortion0= 0 LM0= -32.25 "
    "TM0= -5.5 -2 -6 ||| -7.125 ||| 0-0 1-2\n"
)


def read(*lines: str, num_sentences: int = 5) -> list[Candidate]:
    return list(read_candidates(lines, name="input", num_sentences=num_sentences))


def test_a_line_of_moses() -> None:
    (candidate,) = read(MOSES)
    assert (candidate.sentence, candidate.text) == (3, "das kleine Haus")
    assert (candidate.score, candidate.rest) == (-7.125, ("0-0 1-2",))
    assert candidate.values() == {
        "LexicalReordering0.1": -1.5,
        "LexicalReordering0.2": 0.0,
        "Distortion0": 0.0,
        "LM0": -32.25,
        "TM0.1": -5.5,
        "TM0.2": -2.0,
        "TM0.3": -6.0,
    }


def test_an_older_moses_wrote_colons() -> None:
    (candidate,) = read("0 ||| a b ||| d: 0 lm: -12.5 w: -2 ||| -3")
    assert candidate.values() == {"d": 0.0, "lm": -12.5, "w": -2.0}


def test_what_is_written_can_be_read_again() -> None:
    (candidate,) = read(MOSES)
    assert read(candidate.line()) == [candidate]


@pytest.mark.parametrize(
    "line", ["0 |||  ||| lm: -1 ||| -3", "0 ||| a ||| ||| -3", "1 ||| | || ||| x= 1 ||| 2"]
)
def test_texts_and_features_may_be_empty_or_odd(line: str) -> None:
    (candidate,) = read(line)
    assert read(candidate.line()) == [candidate]


def test_blank_lines_are_no_candidates() -> None:
    assert len(read(MOSES, "\n", MOSES)) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 ||| a ||| lm= 1", "not 3 fields"),
        ("plain text", "not 1 fields"),
        ("a ||| b ||| lm= 1 ||| 2", "the sentence is 'a'"),
        ("-1 ||| b ||| lm= 1 ||| 2", "the sentence is '-1'"),
        ("5 ||| b ||| lm= 1 ||| 2", "sentence 5 of 5 sources"),
        ("0 ||| b ||| lm= 1 ||| good", "the score is 'good'"),
        ("0 ||| b ||| lm= 1 ||| nan", "the score is nan"),
    ],
)
def test_a_fault_is_named_with_its_line(line: str, message: str) -> None:
    with pytest.raises(BenchError, match=re.escape(message)) as caught:
        read(MOSES, line)
    assert str(caught.value).startswith("input, line 2: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("features", ["1.5", "lm= x", "lm= 1 = 2"])
def test_features_that_are_no_names_and_numbers(features: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Candidate(sentence=0, text="a", features=features, score=0.0).values()
