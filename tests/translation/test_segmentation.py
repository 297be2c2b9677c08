"""Words and subwords as ids and back: exact, deterministic, learned on training text alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sentencepiece
from hypothesis import strategies as st
from parallel_trees import PAIRS, lines

from bench.core.errors import BenchError
from bench.data.lines import Lines
from bench.data.rows import Rows
from bench.data.tokens import SPECIAL
from bench.translation.data import subwords as store
from bench.translation.data.segmentation import Tokeniser, Words, learn_words
from bench.translation.data.specification import BpeSegments, TokenisationSpec
from bench.translation.data.subwords import Subwords, learn_subwords

BLANKS = Tokeniser(TokenisationSpec(words="blanks"), "en")
MOSES = (Tokeniser(TokenisationSpec(), "en"), Tokeniser(TokenisationSpec(), "fr"))


def cut(side: int) -> Lines:
    return lines(*(" ".join(MOSES[side].words(pair[side])) for pair in PAIRS))


def plain(side: int) -> Lines:
    return lines(*(pair[side] for pair in PAIRS))


def subwords(cache: Path, **settings: Any) -> tuple[Subwords, Subwords]:
    spec = BpeSegments(**{"num_symbols": 60, **settings})
    side = plain if spec.text == "plain" else cut
    return learn_subwords(spec, MOSES, (side(0), side(1)), cache=cache)


# Words ------------------------------------------------------------------------------------------


def test_words_by_falling_frequency_then_first_occurrence() -> None:
    words = learn_words(BLANKS, ["b a c", "a d </s>", "d a"])
    assert words.symbols == (*SPECIAL, "a", "d", "b", "c")


@pytest.mark.parametrize(
    ("settings", "symbols"),
    [
        ({"num_words": 2}, ("a", "d")),
        ({"minimum_count": 2}, ("a", "d")),
        ({"num_words": 1, "minimum_count": 2}, ("a",)),
        ({"num_words": 2, "known": ["z", "a"]}, ("a", "d", "z")),
    ],
)
def test_which_words_are_known(settings: dict[str, Any], symbols: tuple[str, ...]) -> None:
    assert learn_words(BLANKS, ["b a c", "a d", "d a"], **settings).symbols[3:] == symbols


def test_words_to_ids_and_back() -> None:
    words = Words(MOSES[0], [*SPECIAL, "the", "dog", "."])
    text = "the cat, the dog."
    assert words.pieces(text) == words.tokens(text) == ["the", "cat", ",", "the", "dog", "."]
    ids = words.encode(text)
    assert ids == [3, 0, 0, 3, 4, 5]
    assert words.tokenised(ids) == "the <unk> <unk> the dog ."
    assert words.decode([1, *ids, 2]) == "the <unk> <unk> the dog."
    assert words.decode_pieces(["the", "cat", "."]) == "the cat."
    assert set(words.encode("<unk> <s> </s>")) == {0}  # no text writes special symbols
    rows = words.encode_lines([text, "dog"], ["the cat , the dog .", "dog"])
    assert [row.tolist() for row in rows] == [ids, [4]]


def test_a_text_cannot_write_special_symbols() -> None:
    words = learn_words(BLANKS, ["<s> a </s> <unk>"])
    assert words.symbols == (*SPECIAL, "a")
    assert words.encode("<s> a </s> <unk>") == [0, 3, 0, 0]


# Subwords ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["words", "plain"])
@pytest.mark.parametrize("vocabularies", ["own", "shared"])
def test_subwords_to_ids_and_back(tmp_path: Path, text: str, vocabularies: str) -> None:
    sides = subwords(tmp_path, text=text, vocabularies=vocabularies)
    for side, segmenter in enumerate(sides):
        for pair in PAIRS:
            ids = segmenter.encode(pair[side])
            assert len(ids) == len(segmenter.pieces(pair[side])) > 0
            assert min(ids) >= len(SPECIAL)
            assert [segmenter.symbols[i] for i in ids] == segmenter.pieces(pair[side])
            assert segmenter.decode(ids) == pair[side]
            assert segmenter.tokenised(ids) == " ".join(segmenter.tokens(pair[side]))
        words = lines(*(" ".join(segmenter.tokens(pair[side])) for pair in PAIRS))
        rows = segmenter.encode_lines(plain(side), words)
        assert [row.tolist() for row in rows] == [segmenter.encode(pair[side]) for pair in PAIRS]


def test_own_vocabularies_hold_what_their_side_is_made_of(tmp_path: Path) -> None:
    own, shared = subwords(tmp_path), subwords(tmp_path, vocabularies="shared")
    assert shared[0].symbols == shared[1].symbols
    for side, segmenter in enumerate(own):
        assert set(segmenter.symbols) < set(shared[0].symbols)
        used = {piece for pair in PAIRS for piece in segmenter.pieces(pair[side])}
        assert used <= set(segmenter.symbols)
        counts = segmenter.encode_lines(plain(side), cut(side)).counts(len(segmenter.symbols))
        assert (counts[3:-1] >= counts[4:]).all()  # by falling frequency
        unused = [s for s, n in zip(segmenter.symbols[3:], counts[3:], strict=True) if not n]
        assert all(len(symbol) == 1 for symbol in unused)  # letters, to spell with


def test_what_only_the_other_side_knows_is_spelled(tmp_path: Path) -> None:
    source, target = subwords(tmp_path)
    word = next(s for s in target.symbols if len(s) > 2 and s not in source.symbols)
    text = word.replace("▁", "")
    assert word in target.pieces(text)
    assert word not in source.pieces(text)
    assert source.encode(text)
    assert len(source.encode(text)) == len(source.pieces(text))


def test_characters_that_were_never_seen_are_unknown(tmp_path: Path) -> None:
    source, _ = subwords(tmp_path)
    assert "ж" in "".join(source.pieces("a жд cat"))
    ids = source.encode("a жд cat")
    assert 0 in ids
    assert len(ids) == len(source.pieces("a жд cat"))
    assert source.tokenised(ids) == "a <unk> cat"
    words = lines("a жд cat")
    assert source.encode_lines(words, words)[0].tolist() == ids


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(text=st.text(alphabet="Thecatsdogbn .,!'éж\t\u00a0", max_size=30))
def test_every_text_is_as_long_as_its_pieces(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    cache = tmp_path_factory.getbasetemp() / "subwords"
    for kind in ("words", "plain"):
        for segmenter in subwords(cache, text=kind):
            ids = segmenter.encode(text)
            assert len(ids) == len(segmenter.pieces(text))
            words = lines(" ".join(segmenter.tokens(text)))
            assert segmenter.encode_lines(lines(text), words)[0].tolist() == ids
            if 0 not in ids and kind == "plain":
                assert segmenter.decode(ids) == " ".join(text.split())


def test_the_same_text_gives_the_same_model(tmp_path: Path) -> None:
    one, other = subwords(tmp_path / "one"), subwords(tmp_path / "other")
    protos = [segmenter.processor.serialized_model_proto() for segmenter in (*one, *other)]
    assert len(set(protos)) == 1
    assert [s.symbols for s in one] == [s.symbols for s in other]


def test_a_model_is_learned_once_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = subwords(tmp_path)

    def refuse(**_: object) -> None:
        raise AssertionError("learned again")

    with monkeypatch.context() as patch:
        patch.setattr(sentencepiece.SentencePieceTrainer, "train", refuse)
        assert [s.symbols for s in subwords(tmp_path)] == [s.symbols for s in learned]
        with pytest.raises(AssertionError, match="learned again"):
            subwords(tmp_path, num_symbols=59)  # another recipe
    (path,) = (p for p in (tmp_path / "parallel").iterdir() if p.suffix != ".lock")
    path.write_bytes(path.read_bytes()[:-1])  # damaged
    assert [s.symbols for s in subwords(tmp_path)] == [s.symbols for s in learned]


def test_too_few_symbols_for_the_characters(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"different characters, too many for 10 symbols"):
        subwords(tmp_path, num_symbols=10)


def test_long_lines_are_learned_from(tmp_path: Path) -> None:
    long = lines("abcd " * 2000)  # 10,000 bytes
    source, _ = learn_subwords(BpeSegments(num_symbols=20), MOSES, (long, long), cache=tmp_path)
    assert source.pieces("abcd") == ["▁abcd"]


# Rows and the store -----------------------------------------------------------------------------


def test_rows() -> None:
    rows = Rows.of([[5, 6, 7], [], [8]])
    assert len(rows) == 3
    assert [row.tolist() for row in rows] == [[5, 6, 7], [], [8]]
    assert [row.tolist() for row in rows[1:]] == [[], [8]]
    assert rows[-1].tolist() == [8]
    with pytest.raises(IndexError):
        rows[3]
    assert rows.counts(10).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]


def test_what_is_kept_depends_on_its_recipe(tmp_path: Path) -> None:
    assert store.cached(tmp_path, {"a": 1}, lambda: b"one") == b"one"
    assert store.cached(tmp_path, {"a": 1}, lambda: b"two") == b"one"
    assert store.cached(tmp_path, {"a": 2}, lambda: b"two") == b"two"
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="set BENCH_CACHE"):
        store.cached(tmp_path / "file", {"a": 1}, lambda: b"")
