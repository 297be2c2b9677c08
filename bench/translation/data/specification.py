"""`corpus:` part of translation cards: facts as frozen structs.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bench.core.structs import Frozen
from bench.data.files import FileSpec, Mirror
from bench.data.tokens import NUM_SPECIAL

Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
LANGUAGE = "[A-Za-z]{2,8}(?:[_-][A-Za-z0-9]{2,8})*"
"""Code of a language, with a script or a region if need be: en, pt_BR, zh-Hans."""
Language = Annotated[str, msgspec.Meta(pattern=f"^{LANGUAGE}$")]
PARTS = ("train", "valid", "test")


class TokenisationSpec(Frozen, frozen=True, kw_only=True):
    """Protocol by which plain text becomes the words that are counted, whatever a model reads.

    Applied in the order lower case, punctuation, words.
    """

    words: Literal["moses", "blanks"] = "moses"
    """Words by Moses' rules for the language, or split at blanks."""
    punctuation: Literal["kept", "normalised"] = "kept"
    """normalised: quotation marks, dashes and the like by Moses' rules."""
    case: Literal["kept", "lower"] = "kept"
    apostrophes: Literal["moses", "typographic"] = "moses"
    """typographic: U+2019 is an apostrophe, too, which Moses' rules do not know."""


class WordSegments(Frozen, frozen=True, kw_only=True, tag_field="unit", tag="word"):
    """The most frequent words of each side's training text; the rest is `<unk>`."""

    num_source: Count | None = None
    """Words of the source vocabulary; every training word when not given."""
    num_target: Count | None = None
    minimum_count: Count = 1


class BpeSegments(Frozen, frozen=True, kw_only=True, tag_field="unit", tag="bpe"):
    """Byte-pair encoding (Sennrich et al., 2016) learned on both sides' training text together."""

    num_symbols: Annotated[int, msgspec.Meta(ge=NUM_SPECIAL + 1)] = 10_000
    """Symbols of both sides, special ones included; fewer where the text is too small for them."""
    text: Literal["words", "plain"] = "words"
    """Text that is segmented: words of the protocol, or plain text with its case."""
    vocabularies: Literal["own", "shared"] = "own"
    """own: each side has the symbols of its training text; shared: both have all."""


Segments = WordSegments | BpeSegments


def _usual() -> dict[str, Segments]:
    return {"bpe": BpeSegments(), "words": WordSegments(minimum_count=2)}


class ParallelSpec(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="parallel"):
    """Text in two languages in files, line by line the same; `.gz` files are compressed.

    `splits` name pairs of `files`, source and target, read one after another; beside train, valid
    and test there may be further tests, read at their first use. Without files the user's own
    folder is searched. `segmentations`: the first is used unless a run chooses another.
    """

    source_language: Language = "src"
    target_language: Language = "tgt"
    licence: str
    obtain: str | None = None
    """Place to get the files from where no mirror serves them."""
    folder: str | None = None
    files: dict[str, FileSpec] = msgspec.field(default_factory=dict)
    splits: dict[str, tuple[tuple[str, str], ...]] = msgspec.field(default_factory=dict)
    tokenised: tuple[str, ...] = ()
    """Files that are already cut into words."""
    mirrors: tuple[Mirror, ...] = ()
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of pairs by split, where known."""
    longest_words: Count = 250
    """Largest number of words between blanks; a longer sentence is bad."""
    tokenisation: TokenisationSpec = TokenisationSpec()
    bleu: Literal["tokenised", "detokenised"] = "tokenised"
    """BLEU that is the metric."""
    segmentations: Annotated[dict[str, Segments], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=_usual
    )

    def __post_init__(self) -> None:
        if self.source_language == self.target_language:
            raise ValueError("source_language and target_language are the same")
        if self.files and self.folder is None:
            raise ValueError("a corpus with `files` needs the name of its `folder`")
        if lacking := [part for part in PARTS if self.files and not self.splits.get(part)]:
            raise ValueError(f"splits: no files for {', '.join(lacking)}")
        named = [name for pairs in self.splits.values() for pair in pairs for name in pair]
        named += [*self.tokenised, *(name for mirror in self.mirrors for name in mirror.members)]
        for name in named:
            if name not in self.files:
                raise ValueError(f"{name!r} is not one of `files`: {', '.join(self.files)}")
        for source, target in (pair for pairs in self.splits.values() for pair in pairs):
            if (source in self.tokenised) != (target in self.tokenised):
                raise ValueError(f"tokenised: one of {source} and {target}, name both or none")
        for name in self.counts:
            if name not in self.splits:
                raise ValueError(f"counts: {name!r} is none of {', '.join(self.splits)}")
        for name, segments in self.segmentations.items():
            if self.tokenised and isinstance(segments, BpeSegments) and segments.text == "plain":
                raise ValueError(f"segmentations.{name}: the files' words are cut: use text: words")


class SyntheticTranslationSpec(
    Frozen, frozen=True, kw_only=True, tag_field="kind", tag="synthetic-translation"
):
    """Sentences of a known grammar and their one right translation; see `bench.data.grammar`."""

    seed: int = 1
    num_train: Count
    num_valid: Count
    num_test: Count
    num_nouns: Annotated[int, msgspec.Meta(ge=2)] = 40
    num_verbs: Count = 20
    num_adjectives: Count = 20
    adjective_share: Share = 0.3
    """Share of the places for an adjective that have one."""
    phrase_share: Share = 0.25
    """Share of the nouns that have a prepositional phrase, where they may."""
    clause_share: Share = 0.3
    """Share of the nouns that have a relative clause, where they may."""
    max_depth: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2
    """Depth to which relative clauses nest."""
    segmentations: Annotated[dict[str, Segments], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: {"words": WordSegments()}
    )
    licence: str = "generated: no licence is needed"
