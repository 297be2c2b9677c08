"""Plain text to the words that a task counts, and back: Moses' rules through sacremoses.

    plain     Une femme s'élance, dit-elle : «Oui !»
    words     une femme s' élance , dit-elle : " oui ! "        case: lower, punctuation: normalised

Moses escapes some characters for its own file formats; nothing is escaped here, and what is
escaped in a file whose words are cut already is read as the character that it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

from bench.translation.data.specification import TokenisationSpec

Form = Literal["plain", "words"]


class Tokeniser:
    """The words of one language's text as a task's protocol cuts them."""

    def __init__(self, spec: TokenisationSpec, language: str) -> None:
        self.spec, self.language = spec, language

    @property
    def name(self) -> str:
        """What cuts the words, for a signature; their case has a place of its own there."""
        if self.spec.words == "blanks":
            return "blanks"
        normalised = "-normalised" if self.spec.punctuation == "normalised" else ""
        return f"moses-{self.language}{normalised}"

    @property
    def recipe(self) -> dict[str, object]:
        """All that the words depend on beside the text."""
        return {
            "language": self.language,
            "words": self.spec.words,
            "punctuation": self.spec.punctuation,
            "case": self.spec.case,
            "sacremoses": version("sacremoses"),
        }

    def words(self, text: str, *, form: Form = "plain") -> list[str]:
        """The words of a line that is plain, or cut into words already."""
        if self.spec.case == "lower":
            text = text.lower()
        if form == "words":
            return str(self._detokeniser.unescape_xml(text)).split()
        if self.spec.punctuation == "normalised":
            text = self._normaliser.normalize(text)
        if self.spec.words == "blanks":
            return text.split()
        found: list[str] = self._tokeniser.tokenize(text, escape=False)
        return found

    def plain(self, words: Sequence[str]) -> str:
        """Words as running text, spaced as the language has it.

        Of lower-cased words the first begins with a capital, as sentences do; no other case comes
        back.
        """
        if self.spec.words == "blanks":
            return " ".join(words)
        text: str = self._detokeniser.detokenize(list(words), unescape=False)
        return text[:1].upper() + text[1:] if self.spec.case == "lower" else text

    # sacremoses has no types, and is slow to import: where nothing is cut it is left alone.

    @cached_property
    def _tokeniser(self) -> Any:
        from sacremoses import MosesTokenizer  # type: ignore[import-untyped]

        return MosesTokenizer(self.language)

    @cached_property
    def _detokeniser(self) -> Any:
        from sacremoses import MosesDetokenizer

        return MosesDetokenizer(self.language)

    @cached_property
    def _normaliser(self) -> Any:
        from sacremoses import MosesPunctNormalizer

        # Multi30k's own tokenised text came out of the Perl script, whose quirks are kept.
        return MosesPunctNormalizer(self.language, perl_parity=True)
