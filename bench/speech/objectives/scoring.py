"""What was recognised in a split, utterance by utterance, and how wrong it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.seq2seq.hypothesis import Labels
from bench.speech.data.batches import SpeechBatch
from bench.speech.data.corpus import SpeechCorpus
from bench.speech.data.prepared import FeatureSplit
from bench.speech.metrics.edits import Edits, align, count_edits
from bench.speech.metrics.folding import Folding
from bench.speech.metrics.phone_error_rate import phone_error_signature
from bench.speech.outputs import Header, Recognition, Recognitions, write_recognitions


class Decoded(NamedTuple):
    """What a decoder found for an utterance."""

    labels: Labels
    nats: float | None = None
    """-log p(labels | sound), where the decoder computes it."""


class Scoring:
    """Edits of the split that is being evaluated, and what was made of each utterance."""

    def __init__(self, corpus: SpeechCorpus, *, num_skipped: int) -> None:
        self.labels = corpus.labels
        self.folding = Folding(name=corpus.folding_name, target=corpus.folding)
        self.num_skipped = num_skipped
        self.begin()

    def begin(self) -> None:
        """Forget the evaluation before."""
        self.found: dict[int, Recognition] = {}
        """Place in the split -> what was made of the utterance."""
        self.edits_of: dict[int, Edits] = {}
        """The same -> how wrong that is."""

    @property
    def edits(self) -> Edits:
        """Of all utterances together."""
        return sum(self.edits_of.values(), Edits())

    def add(
        self,
        batch: SpeechBatch,
        split: FeatureSplit,
        nats: Sequence[float],
        decoded: Sequence[Decoded],
    ) -> None:
        """Take in a batch; `nats` are -log p(reference | sound)."""
        for place, loss, one in zip(batch.utterances.tolist(), nats, decoded, strict=True):
            utterance = split.utterances[place]
            hypothesis = [self.labels[label - 1] for label in one.labels]
            pairs = align(self.folding.fold(utterance.phones), self.folding.fold(hypothesis))
            self.edits_of[place] = count_edits(pairs)
            self.found[place] = Recognition(
                utterance=utterance.id,
                speaker=utterance.speaker,
                reference=" ".join(utterance.phones),
                hypothesis=" ".join(hypothesis),
                reference_nats=loss,
                hypothesis_nats=one.nats,
            )

    def signature(self, decoder: str) -> str:
        """What the error rate is, by `decoder`; utterances that were left out are counted."""
        whole = phone_error_signature(
            num_labels=len(self.labels), folding=self.folding, decoder=decoder
        )
        return f"{whole}|skipped:{self.num_skipped}" if self.num_skipped else whole

    def keep(self, folder: Path, split: str, decoder: str) -> None:
        """Write what was made of every utterance."""
        header = Header(
            signature=self.signature(decoder),
            folding=self.folding.name,
            target=dict(self.folding.target),
        )
        lines = [self.found[place] for place in sorted(self.found)]
        write_recognitions(folder, split, Recognitions(header=header, lines=lines))
