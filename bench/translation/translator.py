"""Lines in, translations out: by one trained model, or by an ensemble of several.

Shapes: T target tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from torch import Tensor

from bench.core.errors import BenchError
from bench.seq2seq.beam import LengthPenalty
from bench.seq2seq.search import mean_log_prob, padded
from bench.translation.network import Pairs
from bench.translation.objective import ReplaceUnknown, Translation, TranslationObjective, word
from bench.translation.search import TranslationSearch, alignments

__all__ = ["Translation", "Translator"]


class Translator:
    """Translates and scores text by the mean probability of some trained models.

    `batch_tokens` bounds the source tokens of a batch, padding included; it changes no result.
    Attention is looked up unless `attention` says to omit it, which saves a reading. Raises
    BenchError for models whose vocabularies differ.
    """

    def __init__(
        self,
        objectives: Sequence[TranslationObjective],
        *,
        beam_size: int,
        length_penalty: Literal["none", "average", "gnmt"] = "none",
        alpha: float = 0.6,
        max_length_factor: float = 2.0,
        replace_unknown: ReplaceUnknown = "never",
        attention: Literal["find", "omit"] = "find",
        batch_tokens: int = 4000,
    ) -> None:
        check_vocabularies(objectives)
        corpus = objectives[0].corpus
        self.source, self.target = corpus.source, corpus.target
        self.networks = [objective.eval().network for objective in objectives]
        self.search = TranslationSearch(
            beam_size=beam_size,
            penalty=LengthPenalty(kind=length_penalty, alpha=alpha),
            max_length_factor=max_length_factor,
        )
        self.replace_unknown: ReplaceUnknown = replace_unknown
        self.finds_attention = attention == "find" or replace_unknown == "aligned"
        self.batch_tokens = batch_tokens
        self.device = objectives[0].device

    def translate(self, lines: Sequence[str], *, num_best: int = 1) -> list[list[Translation]]:
        """The best translations of each line, best first, in the order of the lines."""
        sources = [self.source.encode(line) for line in lines]
        found: list[list[Translation]] = [[] for _ in lines]
        for places in by_length(sources, self.batch_tokens):
            source_BS, lengths_B = padded([sources[place] for place in places], self.device)
            best = self.search(self.networks, source_BS, lengths_B, num_best=num_best)
            attention: list[list[Tensor | None]] = [[None for _ in of_one] for of_one in best]
            if self.finds_attention:
                attention = alignments(self.networks, source_BS, lengths_B, best)
            for place, of_one, weights in zip(places, best, attention, strict=True):
                found[place] = [
                    word(
                        one,
                        attention_TS,
                        source=self.source,
                        source_text=lines[place],
                        target=self.target,
                        replace_unknown=self.replace_unknown,
                    )
                    for one, attention_TS in zip(of_one, weights, strict=True)
                ]
        return found

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
        """log p(target | source) of each pair, natural, the target's end included.

        Raises BenchError where the numbers of sources and targets differ.
        """
        if len(sources) != len(targets):
            raise BenchError(
                f"{len(sources):,} sources and {len(targets):,} targets: give one target a source"
            )
        ids = [self.source.encode(line) for line in sources]
        target_ids = [self.target.encode(line) for line in targets]
        both = [[*source, *target] for source, target in zip(ids, target_ids, strict=True)]
        scores = [0.0] * len(sources)
        for places in by_length(both, self.batch_tokens):
            source = padded([ids[place] for place in places], self.device)
            target = padded([target_ids[place] for place in places], self.device)
            found_B = self._log_probs(Pairs(*source, *target))
            for place, log_prob in zip(places, found_B.tolist(), strict=True):
                scores[place] = log_prob
        return scores

    def _log_probs(self, pairs: Pairs) -> Tensor:
        each = [network.target_log_probs(pairs).double() for network in self.networks]
        return mean_log_prob(each).sum(1)


def check_vocabularies(objectives: Sequence[TranslationObjective]) -> None:
    """Refuse models that do not read and write the same words."""
    if not objectives:
        raise BenchError("name a trained model that translates")
    first = objectives[0].corpus
    for number, objective in enumerate(objectives[1:], start=2):
        for side in ("source", "target"):
            one, other = getattr(first, side).symbols, getattr(objective.corpus, side).symbols
            if one != other:
                raise BenchError(
                    f"models 1 and {number} of the ensemble differ in their {side} vocabularies "
                    f"({len(one):,} and {len(other):,} symbols): name runs of one task and one "
                    "segmentation"
                )


def by_length(rows: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Places of rows of like length, the longest first, a bounded number of tokens at a time."""
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
    while order:
        size = max(1, batch_tokens // (len(rows[order[0]]) + 1))
        yield order[:size]
        order = order[size:]
