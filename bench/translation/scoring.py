"""What was made of each sentence of a split, and how much of it the reference has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from bench.translation.metrics import BleuProtocol, Frequencies, beside_bleu, count_sentences
from bench.translation.outputs import (
    TranslatedSentence,
    Translations,
    TranslationsHeader,
    write_translations,
)


class Hypothesis(Protocol):
    """What a search found for a sentence."""

    @property
    def text(self) -> str:
        """Plain."""
        ...

    @property
    def tokenised(self) -> str:
        """Words between blanks, subwords put together."""
        ...

    @property
    def log_prob(self) -> float:
        """Natural, of the tokens and the end."""
        ...


class Texts(Protocol):
    """The sentences of a split, side by side."""

    @property
    def source_text(self) -> Sequence[str]:
        """Plain."""
        ...

    @property
    def target_text(self) -> Sequence[str]:
        """Plain."""
        ...

    @property
    def target_words(self) -> Sequence[str]:
        """The task's words, between blanks."""
        ...


class TranslationScoring:
    """Scores the split that is being evaluated and keeps what was made of its sentences.

    `begin`, `add` batch by batch in any order, then `bleu`, `beside` and `keep`.
    """

    def __init__(
        self,
        *,
        protocol: BleuProtocol,
        train_sources: Callable[[], Iterable[str]],
        num_skipped: int = 0,
    ) -> None:
        """`train_sources` gives the plain training sources when rarity is asked for; `num_skipped`
        pairs of the scored splits were left out."""
        self.protocol = protocol
        self.num_skipped = num_skipped
        self._train_sources = train_sources
        self._frequencies: Frequencies | None = None
        self.begin()

    def begin(self, split: Texts | None = None) -> None:
        """Forget the evaluation before; `split` is that of the next one, where it is known."""
        self.found: dict[int, tuple[Hypothesis, float]] = {}
        """Place in the split -> what was found, and the nats of the reference."""
        self.split = split

    def add(
        self,
        split: Texts,
        places: Sequence[int],
        hypotheses: Sequence[Hypothesis],
        reference_nats: Sequence[float],
    ) -> None:
        """Take in a batch, by places in its split; `reference_nats` are -log p(reference | source).

        All batches between two `begin` are of one split.
        """
        assert self.split in (None, split)
        self.split = split
        found = zip(hypotheses, reference_nats, strict=True)
        self.found.update(zip(places, found, strict=True))

    @property
    def signature(self) -> str:
        """What the metric is; not how the translations were searched, which is the system's."""
        return self._counting_skipped(self.protocol.signature)

    @property
    def bleu(self) -> float:
        """The metric of what was added."""
        plain = self.protocol.text == "detokenised"
        found = [self.found[place][0] for place in sorted(self.found)]
        return count_sentences(
            [one.text if plain else one.tokenised for one in found],
            self._references("target_text" if plain else "target_words"),
            protocol=self.protocol,
        ).value

    @property
    def beside(self) -> dict[str, float]:
        """Signature -> value of what stands beside the metric; the metric itself is left out."""
        texts = [self.found[place][0].text for place in sorted(self.found)]
        values = beside_bleu(texts, self._references("target_text"))
        if self.protocol.unknown != "never":
            values = {f"{key}|unknown:{self.protocol.unknown}": v for key, v in values.items()}
        named = {self._counting_skipped(key): value for key, value in values.items()}
        named.pop(self.signature, None)
        return named

    def keep(self, folder: Path, split: str, search: str) -> None:
        """Write what was made of every sentence, in the order of the split; `search` says how."""
        if self._frequencies is None:
            self._frequencies = Frequencies.of(self._train_sources())
        header = TranslationsHeader(
            signature=self.signature,
            text=self.protocol.text,
            case=self.protocol.case,
            tokeniser=self.protocol.tokeniser,
            unknown=self.protocol.unknown,
            search=search,
        )
        lines = [self._kept(place, self._frequencies) for place in sorted(self.found)]
        write_translations(folder, split, Translations(header=header, lines=lines))

    def _kept(self, place: int, frequencies: Frequencies) -> TranslatedSentence:
        assert self.split is not None
        hypothesis, nats = self.found[place]
        source = self.split.source_text[place]
        return TranslatedSentence(
            source=source,
            reference=self.split.target_text[place],
            hypothesis=hypothesis.text,
            reference_words=self.split.target_words[place],
            hypothesis_words=hypothesis.tokenised,
            reference_nats=nats,
            hypothesis_nats=-hypothesis.log_prob,
            mean_rank=frequencies.mean_rank(source),
            fewest=frequencies.fewest(source),
        )

    def _references(self, name: Literal["target_text", "target_words"]) -> list[str]:
        if self.split is None:
            return []
        texts: Sequence[str] = getattr(self.split, name)
        return [texts[place] for place in sorted(self.found)]

    def _counting_skipped(self, signature: str) -> str:
        return f"{signature}|skipped:{self.num_skipped}" if self.num_skipped else signature
