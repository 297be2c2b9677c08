"""Translations of batches as text, and the metric of a split of them.

Shapes: B sentences, T target tokens, S source tokens; tokens include the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from torch import Tensor

from bench.core.errors import BenchError
from bench.data.tokens import UNKNOWN
from bench.seq2seq.beam import Hypothesis
from bench.training.metrics import Score, SplitMetric
from bench.translation.data.corpus import PairSplit, ParallelCorpus
from bench.translation.metrics import (
    ReplaceUnknown,
    WordFrequencies,
    beside_bleu,
    count_sentences,
)
from bench.translation.network import TranslationNetwork
from bench.translation.outputs import TranslatedSentence, Translations, TranslationsHeader
from bench.translation.search import TranslationSearch, alignments


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


def translate_batch(
    networks: Sequence[TranslationNetwork],
    search: TranslationSearch,
    source_BS: Tensor,
    lengths_B: Tensor,
    *,
    lines: Sequence[str],
    corpus: ParallelCorpus,
    replace_unknown: ReplaceUnknown,
    attention: Literal["find", "omit"] = "find",
    num_best: int = 1,
) -> list[list[Translation]]:
    """Best translations of each sentence, best first, by an ensemble; `lines` are their texts.

    Attention is found where unknown words are replaced, in any case.
    """
    found = search(networks, source_BS, lengths_B, num_best=num_best)
    weights: list[list[Tensor | None]] = [[None for _ in best] for best in found]
    if attention == "find" or replace_unknown == "aligned":
        weights = alignments(networks, source_BS, lengths_B, found)
    return [
        [
            to_translation(one, attention_TS, line, corpus=corpus, replace_unknown=replace_unknown)
            for one, attention_TS in zip(best, best_weights, strict=True)
        ]
        for best, best_weights, line in zip(found, weights, lines, strict=True)
    ]


def to_translation(
    found: Hypothesis,
    attention_TS: Tensor | None,
    line: str,
    *,
    corpus: ParallelCorpus,
    replace_unknown: ReplaceUnknown,
) -> Translation:
    """Turn a hypothesis for the sentence `line` into text.

    With `aligned`, an unknown word is replaced by the source word of attention's largest weight
    (M.-T. Luong, I. Sutskever et al., 2015; S. Jean, K. Cho et al., 2015).
    """
    target = corpus.target
    pieces = [target.symbols[token] for token in found.tokens]
    if replace_unknown == "aligned" and UNKNOWN in found.tokens:
        if attention_TS is None:
            raise BenchError(
                "unknown words are replaced by the words that attention points to, and these "
                "models have none: leave the replacement out"
            )
        source_pieces = corpus.source.pieces(line)
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
        """False in validation during training, for which chrF2 and TER would take too long."""
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
        split, places = self.split, sorted(self.found)
        found = [self.found[place][0] for place in places]
        texts = hypotheses = [one.text for one in found]
        plain = references = [split.target_text[place] for place in places]
        if self.protocol.text == "tokenised":
            hypotheses = [one.tokenised for one in found]
            references = [split.target_words[place] for place in places]
        bleu = count_sentences(hypotheses, references, protocol=self.protocol).value
        choice = loss if self.choose_by == "loss" else 100.0 - bleu
        beside = dict[str, float]()
        if self.is_final:
            values = beside_bleu(texts, plain, unknown=self.protocol.unknown)
            beside = {self._with_skipped(key): value for key, value in values.items()}
            beside.pop(self.signature, None)
        return Score(value=bleu, loss=loss, choice=choice, beside=beside)

    def keep(self, folder: Path, split: str) -> None:
        header = TranslationsHeader(
            signature=self.signature,
            text=self.protocol.text,
            case=self.protocol.case,
            tokeniser=self.protocol.tokeniser,
            unknown=self.protocol.unknown,
            search=self.search,
        )
        lines = [self._line(place, *found) for place, found in sorted(self.found.items())]
        Translations(header=header, lines=lines).write(folder, split)

    def _line(self, place: int, translation: Translation, nats: float) -> TranslatedSentence:
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

    def _with_skipped(self, signature: str) -> str:
        num_skipped = len(self.corpus.skipped)
        return f"{signature}|skipped:{num_skipped}" if num_skipped else signature
