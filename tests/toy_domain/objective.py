"""The parity's probability after the last bit.

Shapes: B rows, T bits, H output of the recurrence.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.config import Count, RunConfig
from bench.core.structs import Frozen
from bench.models import build_recurrence
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import Objective, own_options
from toy_domain.corpus import ParityBatch, ParityBatches, ParityCorpus
from toy_domain.outputs import LabelLine, Labels, LabelsHeader, signature


class ParityOptions(Frozen, frozen=True, kw_only=True):
    """How rows are put into batches."""

    batch_size: Count = 16


class ErrorRate(SplitMetric):
    """Percentage of rows whose label is wrong."""

    def __init__(self, corpus: ParityCorpus) -> None:
        super().__init__(name="error-rate")
        self.corpus, self.split = corpus, "valid"
        self.found: dict[int, int] = self.keyed()
        """Place of a row -> its label as found."""

    @property
    def signature(self) -> str:
        return signature()

    def add(self, batch: ParityBatch, odds_B: Tensor) -> None:
        """Update with the log-odds of odd parity [B]."""
        loss = F.binary_cross_entropy_with_logits(odds_B, batch.label.float(), reduction="sum")
        self.update(loss, torch.tensor(len(odds_B)))
        self.found.update(zip(batch.place.tolist(), (odds_B > 0).int().tolist(), strict=True))

    @property
    def labels(self) -> Labels:
        """The labels that were found."""
        rows = zip(self.corpus.splits[self.split], sorted(self.found), strict=True)
        return Labels(
            header=LabelsHeader(signature=self.signature),
            lines=[
                LabelLine(bits="".join(map(str, bits_T)), parity=self.found[place])
                for bits_T, place in rows
            ],
        )

    def score(self, loss: float) -> Score:
        return Score(value=self.labels.value(), loss=loss, choice=loss)

    def keep(self, folder: Path, split: str) -> None:
        self.labels.write(folder, split)


class ParityObjective(Objective):
    """Parity of a row of bits, for any recurrence."""

    Options = ParityOptions
    metric: ErrorRate
    corpus: ParityCorpus

    def __init__(self, config: RunConfig, corpus: ParityCorpus) -> None:
        super().__init__(config, corpus)
        self.options = own_options(config, ParityOptions)
        model = {key: value for key, value in config.model.items() if key != "name"}
        self.embedding = nn.Embedding(2, int(config.model["hidden_size"] or 0))
        self.recurrence = build_recurrence(
            str(config.model["name"]), self.embedding.embedding_dim, model
        )
        self.output = nn.Linear(self.recurrence.output_size, 1)
        self.metric = ErrorRate(corpus)

    def odds(self, bits_BT: Tensor) -> Tensor:
        """Log-odds of odd parity [B]."""
        y_BTH, _ = self.recurrence(self.embedding(bits_BT))
        odds_B: Tensor = self.output(y_BTH[:, -1])[:, 0]
        return odds_B

    def batch_loss(self, batch: ParityBatch) -> tuple[Tensor, Tensor]:
        odds_B, label_B = self.odds(batch.bits), batch.label.float()
        loss = F.binary_cross_entropy_with_logits(odds_B, label_B, reduction="sum")
        return loss, torch.tensor(len(label_B))

    def evaluate_batch(self, batch: ParityBatch, *, final: bool) -> None:
        del final
        self.metric.add(batch, self.odds(batch.bits))

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> ParityBatches:
        assert (rank, world_size) == (0, 1)
        return self._batches("train", seed=self.config.seed)

    def evaluation_loader(self, split: str) -> ParityBatches:
        self.metric.split = split
        return self._batches(split, seed=None)

    def _batches(self, split: str, *, seed: int | None) -> ParityBatches:
        bits_NT = self.corpus.splits[split]
        return ParityBatches(bits_NT, batch_size=self.options.batch_size, seed=seed)

    def flops_per_unit(self) -> int:
        return self.recurrence.flops_per_step()

    @property
    def num_train_units(self) -> int:
        return int(self.corpus.splits["train"].size)

    def units_in(self, batch: ParityBatch) -> int:
        return batch.bits.numel()
