"""Words of scripts other than composed Latin come back as they were."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import msgspec
import pytest

from bench.core.cards import read_card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.corpora import load_corpus
from bench.translation.data.listing import with_languages
from bench.translation.data.prepared import ceiling, inspect
from bench.translation.data.segmentation import Tokeniser
from bench.translation.data.specification import ParallelSpec, TokenisationSpec

ROOT = Path(__file__).parent.parent.parent
CARD = read_card(ROOT / "tasks" / "parallel-text.yaml")
assert isinstance(CARD.corpus, ParallelSpec)
SPEC = CARD.corpus
FRENCH = "L'homme de l'île a dit « C'est l'été », n'est-ce pas."
TEXTS = {
    "composed": ("fr", FRENCH),
    "typographic": ("fr", "l\u2019eau de l\u2019île, c\u2019est l\u2019idée."),
    "decomposed": ("fr", unicodedata.normalize("NFD", "l'eau de l'île, déjà là.")),
    "both": ("fr", unicodedata.normalize("NFD", "l\u2019eau de l\u2019île, déjà là.")),
    "no-break": ("fr", unicodedata.normalize("NFD", "20\u00a0élèves déjà")),
    "hindi": ("hi", "हिन्दी में लिखा हुआ वाक्य अच्छा है"),
    "bengali": ("bn", "আমি বাংলায় গান গাই"),
    "thai": ("th", "ภาษาไทย น่ารัก"),
    "vocalised arabic": ("ar", "كِتَابٌ جَمِيلٌ."),
    "vietnamese": ("vi", unicodedata.normalize("NFD", "Tôi yêu tiếng Việt.")),
}


@pytest.mark.parametrize("name", TEXTS)
def test_words_come_back(name: str) -> None:
    language, text = TEXTS[name]
    tokeniser = Tokeniser(SPEC.tokenisation, language)
    words = tokeniser.words(text)
    assert "".join(words) == "".join(text.split())
    assert not any(unicodedata.category(word[0])[0] == "M" for word in words)
    assert " ".join(tokeniser.plain(words).split()) == " ".join(text.split())


def test_composed_and_decomposed_text_has_the_same_words() -> None:
    tokeniser = Tokeniser(SPEC.tokenisation, "fr")
    text = "L'été, l'île : déjà là (voilà)."
    composed = tokeniser.words(text)
    decomposed = tokeniser.words(unicodedata.normalize("NFD", text))
    assert [unicodedata.normalize("NFC", word) for word in decomposed] == composed
    typographic = tokeniser.words(text.replace("'", "\u2019"))
    assert [word.replace("\u2019", "'") for word in typographic] == composed


def test_the_papers_protocols_know_the_plain_apostrophe_only() -> None:
    moses = Tokeniser(TokenisationSpec(words="moses"), "fr")
    assert moses.words("l\u2019eau") != ["l\u2019", "eau"]
    assert moses.words("l'eau") == ["l'", "eau"]


def write_pairs(folder: Path, target: str, *, languages: tuple[str, str] = ("en", "fr")) -> Path:
    folder.mkdir(exist_ok=True)
    for split in ("train", "valid", "test"):
        (folder / f"{split}.{languages[0]}").write_text("the water of the isle\n" * 6)
        (folder / f"{split}.{languages[1]}").write_text(f"{target}\n" * 6)
    return folder


def test_the_ceiling_is_printed_and_a_low_one_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_pairs(tmp_path, "même d'1 cent et d'2 autres"))
    data = DataConfig(path=path, languages="en-fr", segmentation="words")
    inspect(CARD, data, fetch=False, progress=None)
    printed = capsys.readouterr().out
    assert "ceiling: the test references score" in printed
    assert "warning" in printed  # Moses puts a blank before these apostrophes
    write_pairs(tmp_path, "l\u2019eau de l\u2019île.")
    inspect(CARD, data, fetch=False, progress=None)
    printed = capsys.readouterr().out
    assert "score 100.00" in printed
    assert "warning" not in printed


def test_the_ceiling_of_subwords_is_the_whole_text(tmp_path: Path) -> None:
    path = str(write_pairs(tmp_path, unicodedata.normalize("NFD", "l\u2019été de la fin , déjà")))
    corpus = load_corpus(CARD, DataConfig(path=path, languages="en-fr"))
    assert ceiling(corpus) == pytest.approx(100.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("languages", "codes"),
    [
        ("en-pt_BR", ("en", "pt_BR")),
        ("zh_Hans-en", ("zh_Hans", "en")),
        ("en-zh-Hans", ("en", "zh-Hans")),
        ("zh-Hans-en", ("zh-Hans", "en")),
    ],
)
def test_codes_with_scripts_and_regions(
    tmp_path: Path, languages: str, codes: tuple[str, str]
) -> None:
    path = write_pairs(tmp_path, "texto .", languages=codes)
    spec = with_languages(SPEC, languages, task="parallel-text", folder=path)
    assert (spec.source_language, spec.target_language) == codes
    corpus = load_corpus(CARD, DataConfig(path=str(path), languages=languages))
    assert corpus.checksums


@pytest.mark.parametrize("languages", ["en", "en-", "-fr", "en-fr-", "e-f", "en fr", "en-en"])
def test_pairs_that_are_none(languages: str) -> None:
    with pytest.raises(BenchError, match="languages"):
        with_languages(SPEC, languages, task="parallel-text")


def test_a_pair_that_can_be_cut_in_two_ways_is_refused_without_its_files() -> None:
    with pytest.raises(BenchError, match="write source and target"):
        with_languages(SPEC, "zh-Hans-en", task="parallel-text")


def test_a_misaligned_corpus_of_which_nothing_is_left_says_why(tmp_path: Path) -> None:
    write_pairs(tmp_path, "l'eau")
    (tmp_path / "train.fr").write_text("one line\n")
    data = DataConfig(path=str(tmp_path), languages="en-fr", on_bad="skip")
    with pytest.raises(BenchError, match=r"misaligned: .*6 lines beside 1"):
        load_corpus(CARD, data)


def test_the_card_reads_and_its_facts_hold() -> None:
    assert msgspec.structs.asdict(SPEC.tokenisation)["apostrophes"] == "typographic"
    assert Suite(folder=ROOT).card("parallel-text").version == 2
