"""Translation of lines of text by one trained model, or by an ensemble of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from bench.core.errors import BenchError
from bench.seq2seq.beam import LengthPenalty
from bench.seq2seq.search import mean_log_prob, padded
from bench.translation.metrics import ReplaceUnknown
from bench.translation.network import Pairs
from bench.translation.objective import TranslationObjective
from bench.translation.scoring import Translation, translate_batch
from bench.translation.search import TranslationSearch


class Translator:
    """Translates and scores text by the mean probability of trained models.

    `batch_tokens` bounds the source tokens of a batch, padding included; it changes no result.
    Attention is found unless `attention` says to omit it, which saves a forward pass. `names` name
    the models in errors. Raises BenchError for models whose vocabularies differ.
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
        names: Sequence[str] = (),
    ) -> None:
        _check_vocabularies(objectives, names or [str(i + 1) for i in range(len(objectives))])
        self.corpus = objectives[0].corpus
        self.networks = [objective.eval().network for objective in objectives]
        self.search = TranslationSearch(
            beam_size=beam_size,
            penalty=LengthPenalty(kind=length_penalty, alpha=alpha),
            max_length_factor=max_length_factor,
        )
        self.replace_unknown: ReplaceUnknown = replace_unknown
        self.attention: Literal["find", "omit"] = attention
        self.batch_tokens = batch_tokens
        self.device = objectives[0].device

    def translate(self, lines: Sequence[str], *, num_best: int = 1) -> list[list[Translation]]:
        """Best translations of each line, best first, in the order of the lines."""
        sources = [self.corpus.source.encode(line) for line in lines]
        found: list[list[Translation]] = [[] for _ in lines]
        for places in length_batches(sources, self.batch_tokens):
            source_BS, lengths_B = padded([sources[place] for place in places], self.device)
            batch = translate_batch(
                self.networks,
                self.search,
                source_BS,
                lengths_B,
                lines=[lines[place] for place in places],
                corpus=self.corpus,
                replace_unknown=self.replace_unknown,
                attention=self.attention,
                num_best=num_best,
            )
            for place, best in zip(places, batch, strict=True):
                found[place] = best
        return found

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
        """Natural log p(target | source) of each pair, the target's end included.

        Raises BenchError where the numbers of sources and targets differ.
        """
        if len(sources) != len(targets):
            raise BenchError(
                f"{len(sources):,} sources and {len(targets):,} targets: give one target a source"
            )
        source_ids = [self.corpus.source.encode(line) for line in sources]
        target_ids = [self.corpus.target.encode(line) for line in targets]
        both = [[*source, *target] for source, target in zip(source_ids, target_ids, strict=True)]
        scores = [0.0] * len(sources)
        for places in length_batches(both, self.batch_tokens):
            source = padded([source_ids[place] for place in places], self.device)
            target = padded([target_ids[place] for place in places], self.device)
            pairs = Pairs(*source, *target)
            each = [network.target_log_probs(pairs).double() for network in self.networks]
            for place, log_prob in zip(places, mean_log_prob(each).sum(1).tolist(), strict=True):
                scores[place] = log_prob
        return scores


def _check_vocabularies(objectives: Sequence[TranslationObjective], names: Sequence[str]) -> None:
    if not objectives:
        raise BenchError("name a trained model that translates")
    first = objectives[0].corpus
    for name, objective in zip(names[1:], objectives[1:], strict=True):
        for side in ("source", "target"):
            one, other = getattr(first, side).symbols, getattr(objective.corpus, side).symbols
            if one != other:
                raise BenchError(
                    f"models {names[0]} and {name} have different {side} vocabularies "
                    f"({len(one):,} and {len(other):,} symbols): an ensemble needs equal ones, "
                    "of one task and one segmentation"
                )


def length_batches(rows: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Places of rows of similar length, longest first, at most `batch_tokens` at a time."""
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
    while order:
        size = max(1, batch_tokens // (len(rows[order[0]]) + 1))
        yield order[:size]
        order = order[size:]
