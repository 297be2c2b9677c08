"""Edits, folding and phone error rate: by hand, by the plain recursion, by another library."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torchmetrics.functional.text import word_error_rate

from bench.core.errors import BenchError
from bench.speech.metrics import (
    Edits,
    Folding,
    LabelErrors,
    align,
    count_edits,
    error_rate_signature,
    label_errors,
)
from bench.speech.outputs import Header, Recognition, Recognitions

UNFOLDED = Folding(name="none", target={label: label for label in ("a", "b", "sil", "ix", "c")})
BY_HAND = [
    # reference, hypothesis, substitutions, deletions, insertions
    ("", "", 0, 0, 0),
    ("a b", "a b", 0, 0, 0),
    ("", "a b", 0, 0, 2),
    ("a b", "", 0, 2, 0),
    ("a b c", "a x c", 1, 0, 0),
    ("a b c", "a c", 0, 1, 0),
    ("a b c", "a b x c", 0, 0, 1),
    ("a b c d e", "b c x e f", 1, 1, 1),
]


@pytest.mark.parametrize(("reference", "hypothesis", "sub", "dele", "ins"), BY_HAND)
def test_edits_by_hand(reference: str, hypothesis: str, sub: int, dele: int, ins: int) -> None:
    pairs = align(reference.split(), hypothesis.split())
    wanted = Edits(
        substitutions=sub,
        deletions=dele,
        insertions=ins,
        num_reference=len(reference.split()),
    )
    assert count_edits(pairs) == wanted


def plain_distance(reference: list[str], hypothesis: list[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for i, shown in enumerate(reference, start=1):
        before, row = row, [i]
        for j, heard in enumerate(hypothesis, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (shown != heard)))
    return row[-1]


LABELS = st.lists(st.sampled_from(["a", "b", "sil", "ix"]), max_size=12)


@given(LABELS, LABELS)
def test_alignments_are_minimal_and_spell_both_sides(
    reference: list[str], hypothesis: list[str]
) -> None:
    pairs = align(reference, hypothesis)
    assert [shown for shown, _ in pairs if shown is not None] == reference
    assert [heard for _, heard in pairs if heard is not None] == hypothesis
    edits = count_edits(pairs)
    assert edits.errors == plain_distance(reference, hypothesis)
    assert edits.num_reference == len(reference)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=6))
def test_the_rate_is_that_of_torchmetrics(both: list[tuple[list[str], list[str]]]) -> None:
    assume(any(reference for reference, _ in both))
    found = scored(both)
    lines = [" ".join(hypothesis) for _, hypothesis in both]
    wanted = word_error_rate(lines, [" ".join(reference) for reference, _ in both])
    assert found.total.rate == pytest.approx(100 * float(wanted), rel=1e-6)


def scored(
    both: list[tuple[list[str], list[str]]],
    speakers: list[str] | None = None,
    folding: Folding | None = None,
) -> LabelErrors:
    return label_errors(
        [reference for reference, _ in both],
        [hypothesis for _, hypothesis in both],
        speakers=speakers or ["one"] * len(both),
        folding=folding or UNFOLDED,
    )


UTTERANCES = [
    (["a", "b", "a"], ["a", "a"]),
    (["b", "a", "b"], ["c", "a", "b", "sil"]),
    (["sil", "a", "b", "c"], ["sil", "a", "b", "c"]),
]


def test_tables_by_hand() -> None:
    errors = scored(UTTERANCES, ["mary", "john", "mary"])
    assert errors.sums.tolist() == [[0, 1, 0, 3], [1, 0, 1, 3], [0, 0, 0, 4]]
    assert errors.total == Edits(substitutions=1, deletions=1, insertions=1, num_reference=10)
    assert errors.total.rate == 30
    speakers = [(name, num, edits.rate) for name, (num, edits) in errors.by_speaker().items()]
    assert speakers == [("john", 1, 200 / 3), ("mary", 2, 100 / 7)]
    assert errors.noun == "3 utterances of 10 labels"
    assert float(errors.metric(errors.sums.sum(0))) == errors.total.rate


def test_samples_say_how_each_label_differs() -> None:
    lines = [
        Recognition(
            utterance=f"u{place}",
            speaker="one",
            reference=" ".join(reference),
            hypothesis=" ".join(hypothesis),
            reference_nats=1.0,
            hypothesis_nats=None,
        )
        for place, (reference, hypothesis) in enumerate(UTTERANCES[:2])
    ]
    header = Header(signature="", folding="none", target=dict(UNFOLDED.target))
    table = Recognitions(header=header, lines=lines).samples()
    first, second = table.rows
    assert (first.name, first.references) == ("utterance u0", ["a b a"])
    assert [(word.text, word.kind) for word in first.words] == [
        ("a", "right"),
        ("b", "missing"),
        ("a", "right"),
    ]
    assert [word.kind for word in second.words] == ["wrong", "right", "right", "extra"]
    assert dict(zip(table.columns, second.cells, strict=True)) == {
        "utterance": "u1",
        "reference": "b a b",
        "hypothesis": "c a b sil",
    }


def test_confusions_by_hand() -> None:
    errors = scored(UTTERANCES)
    assert errors.pairs == {
        ("a", "a"): 4,
        ("b", "b"): 2,
        ("c", "c"): 1,
        ("sil", "sil"): 1,
        ("b", None): 1,
        ("b", "c"): 1,
        (None, "sil"): 1,
    }
    ranked = [(("b", "c"), 1), (("b", None), 1), ((None, "sil"), 1)]
    assert errors.confusions(2) == ranked[:2]
    assert errors.confusions(100) == ranked


def test_resampled_statistics_give_the_rate_of_the_resampled_corpus() -> None:
    errors = scored(UTTERANCES)
    drawn = [0, 0, 2]
    wanted = scored([UTTERANCES[i] for i in drawn]).total.rate
    assert errors.metric(errors.sums[drawn].sum(0)[None]) == pytest.approx([wanted])


FOLD = Folding(name="closed", target={"ix": "ih", "ih": "ih", "bcl": "sil", "q": None, "b": "b"})


def test_folding_maps_and_drops_and_keeps_like_neighbours() -> None:
    assert FOLD.fold(["bcl", "b", "q", "ix", "ih"]) == ("sil", "b", "ih", "ih")
    assert FOLD.labels == ("b", "ih", "sil")
    errors = scored([(["ix", "q", "b"], ["ih", "b", "q", "q"])], folding=FOLD)
    assert errors.total == Edits(num_reference=2)


def test_the_closed_folding_of_timit(bench_data: Path) -> None:
    lines = (bench_data / "timit-lists" / "phones.60-48-39.map").read_text().splitlines()
    rows = [line.split() for line in lines]
    target = {row[0]: row[2] if len(row) == 3 else None for row in rows}
    folding = Folding(name="lee-hon", target=target)
    assert (len(target), len(folding.labels)) == (61, 39)
    folded = folding.fold(["h#", "sh", "ix", "hv", "eh", "dcl", "q", "el", "zh", "h#"])
    assert " ".join(folded) == "sil sh ih hh eh sil l sh sil"
    assert error_rate_signature(num_labels=61, folding=folding, decoder="ctc-beam(100)") == (
        "phone-error-rate|labels:61|scored:39(lee-hon)|edits:levenshtein|decoder:ctc-beam(100)"
    )


def test_an_empty_reference_counts_its_insertions() -> None:
    errors = scored([([], ["a", "b"]), (["a"], ["a"])])
    assert errors.total.rate == 200
    assert math.isnan(Edits(insertions=1).rate)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(
        BenchError, match=r"unknown label 'bcll' for folding 'closed', did you mean"
    ):
        FOLD.fold(["bcll"])
    with pytest.raises(BenchError, match="no reference label"):
        scored([([], ["a"])])
    with pytest.raises(BenchError, match="leaves no label"):
        Folding(name="empty", target={"q": None})
    with pytest.raises(BenchError, match="leave out"):
        error_rate_signature(num_labels=3, folding=FOLD, decoder="a|b")
    with pytest.raises(ValueError, match="zip"):
        label_errors([["b"]], [["b"], ["b"]], speakers=["s"], folding=FOLD)
    with pytest.raises(ValueError, match="zip"):
        label_errors([["b"]], [["b"]], speakers=["s", "s"], folding=FOLD)
