"""Translations as text, and the metric of a split of them.

Shapes: T target tokens, S source tokens, both with their end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from torch import Tensor

from bench.core.errors import BenchError
from bench.data.segmentation import UNKNOWN, Segmenter
from bench.seq2seq.beam import Found
from bench.training.metrics import Score, SplitMetric
from bench.translation.data.corpus import PairSplit, ParallelCorpus
from bench.translation.metrics import (
    ReplaceUnknown,
    WordFrequencies,
    beside_bleu,
    count_sentences,
)
from bench.translation.outputs import TranslatedSentence, Translations, TranslationsHeader


@dataclass(frozen=True, kw_only=True, eq=False)
class Translation:
    """A translation of a sentence."""

    tokens: tuple[int, ...]
    """Without the end."""
    text: str
    """Plain."""
    tokenised: str
    """Words between blanks, subwords put together."""
    log_prob: float
    """Natural, of the tokens and the end."""
    score: float
    """`log_prob` after the length penalty."""
    attention_TS: Tensor | None  # noqa: N815
    """Weights of the source's tokens for each token; None where no network has attention, and where
    it was not asked for."""


def to_translation(
    found: Found,
    attention_TS: Tensor | None,
    *,
    source: Segmenter,
    source_text: str,
    target: Segmenter,
    replace_unknown: ReplaceUnknown,
) -> Translation:
    """Turn a hypothesis for `source_text` into text.

    With `aligned`, an unknown word is replaced by the source word of attention's largest weight
    (M.-T. Luong, I. Sutskever et al., 2015; S. Jean, K. Cho et al., 2015).
    """
    pieces = [target.symbols[token] for token in found.tokens]
    if replace_unknown == "aligned" and UNKNOWN in found.tokens:
        if attention_TS is None:
            raise BenchError(
                "unknown words are replaced by the words that attention points to, and these "
                "models have none: leave the replacement out"
            )
        source_pieces = source.pieces(source_text)
        source_T = attention_TS[:, : len(source_pieces)].argmax(1).tolist()
        for place, token in enumerate(found.tokens):
            if token == UNKNOWN:
                pieces[place] = source_pieces[source_T[place]]
    return Translation(
        tokens=found.tokens,
        text=target.decode_pieces(pieces),
        tokenised=target.tokenise_pieces(pieces),
        log_prob=found.log_prob,
        score=found.score,
        attention_TS=attention_TS,
    )


class TranslationMetric(SplitMetric):
    """BLEU of the translations of a split; beside it plain BLEU, chrF2 and TER.

    `search` names the search of the translations that are kept. It is not in the signature, since
    the papers' columns mix beams.
    """

    def __init__(
        self,
        corpus: ParallelCorpus,
        *,
        search: str,
        unknown: ReplaceUnknown = "never",
        choose_by: Literal["loss", "bleu"] = "bleu",
    ) -> None:
        super().__init__(name="bleu")
        self.corpus, self.search, self.choose_by = corpus, search, choose_by
        self.protocol = replace(corpus.bleu, unknown=unknown)
        self.split: PairSplit = corpus.splits["valid"]
        """The split that is translated."""
        self.is_final = True
        """Whether the metrics beside BLEU are computed; they take longer than a validation may."""
        self.found: dict[int, tuple[Translation, float]] = self.keyed()
        """Place in the split -> translation, and -log p(reference | source)."""

    def add(
        self,
        places: Iterable[int],
        translations: Sequence[Translation],
        reference_nats: Sequence[float],
    ) -> None:
        """Add translations of sentences by place; `reference_nats` are -log p(reference | source).

        The loss is added by `update`.
        """
        found = zip(translations, reference_nats, strict=True)
        self.found.update(zip(places, found, strict=True))

    @property
    def signature(self) -> str:
        return self._with_skipped(self.protocol.signature)

    def score(self, loss: float) -> Score:
        bleu = self.bleu
        return Score(
            value=bleu,
            loss=loss,
            choice=loss if self.choose_by == "loss" else 100.0 - bleu,
            beside=self.beside if self.is_final else {},
        )

    @property
    def bleu(self) -> float:
        """BLEU in percent of the translations that were added."""
        plain = self.protocol.text == "detokenised"
        found = [self.found[place][0] for place in sorted(self.found)]
        return count_sentences(
            [one.text if plain else one.tokenised for one in found],
            self._references(self.split.target_text if plain else self.split.target_words),
            protocol=self.protocol,
        ).value

    @property
    def beside(self) -> dict[str, float]:
        """Signature -> value of the metrics beside BLEU, without BLEU itself."""
        texts = [self.found[place][0].text for place in sorted(self.found)]
        references = self._references(self.split.target_text)
        values = beside_bleu(texts, references, unknown=self.protocol.unknown)
        named = {self._with_skipped(key): value for key, value in values.items()}
        named.pop(self.signature, None)
        return named

    def keep(self, folder: Path, split: str) -> None:
        header = TranslationsHeader(
            signature=self.signature,
            text=self.protocol.text,
            case=self.protocol.case,
            tokeniser=self.protocol.tokeniser,
            unknown=self.protocol.unknown,
            search=self.search,
        )
        lines = [self._line(place) for place in sorted(self.found)]
        Translations(header=header, lines=lines).write(folder, split)

    def _line(self, place: int) -> TranslatedSentence:
        translation, nats = self.found[place]
        source = self.split.source_text[place]
        return TranslatedSentence(
            source=source,
            reference=self.split.target_text[place],
            hypothesis=translation.text,
            reference_words=self.split.target_words[place],
            hypothesis_words=translation.tokenised,
            reference_nats=nats,
            hypothesis_nats=-translation.log_prob,
            mean_rank=self._frequencies.mean_rank(source),
            fewest=self._frequencies.fewest(source),
        )

    @cached_property
    def _frequencies(self) -> WordFrequencies:
        return WordFrequencies.count(self.corpus.splits["train"].source_text)

    def _references(self, texts: Sequence[str]) -> list[str]:
        return [texts[place] for place in sorted(self.found)]

    def _with_skipped(self, signature: str) -> str:
        num_skipped = len(self.corpus.skipped)
        return f"{signature}|skipped:{num_skipped}" if num_skipped else signature
