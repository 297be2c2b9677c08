"""Captioning: a recurrence writes about an image.

Training maximises log p(caption | image) over every caption of every image; validation writes
greedily after each epoch, a finished run is measured by the configured beam search. The network is
`bench.captioning.network.captioner`.

Shapes: B captions, I images, D features, T words, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.captioning.data.batches import CaptionBatch, CaptionBatches, ImageBatch, ImageBatches
from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.metrics.scores import CaptionProtocol
from bench.captioning.network.captioner import CaptionNetwork, WordRegions, write_alignments
from bench.captioning.network.options import CaptioningOptions
from bench.captioning.network.search import CaptionSearch, quick_search
from bench.captioning.scoring import CaptionScoring, ScoredCaptions, Written
from bench.core.config import RunConfig
from bench.data.tokens import END
from bench.layers.products import training_products
from bench.seq2seq.beam import Hypothesis
from bench.seq2seq.objective import WritingObjective
from bench.seq2seq.search import padded
from bench.training.contract import mean_loss, own_options

EVALUATION_IMAGES = 200
"""Of a batch that is not trained on."""
HIGHEST_CIDER = 1000.0
"""In percent."""


class CaptioningObjective(WritingObjective):
    """Any causal recurrence, the image before its words or beside them."""

    Options = CaptioningOptions
    corpus: CaptionCorpus
    network: CaptionNetwork

    def __init__(self, config: RunConfig, corpus: CaptionCorpus) -> None:
        options = own_options(config, CaptioningOptions)
        super().__init__(config, corpus, options)
        self.options = options
        train, store = corpus.splits["train"], corpus.features
        network = CaptionNetwork(
            config.model,
            options,
            feature_shape=store.array.shape[1:],
            counts_V=torch.from_numpy(np.array(corpus.vocabulary.counts, np.int64)),
            products=training_products(config.trainer),
        )
        network.scale.learn(store.rows, train.feature_row)
        self.set_network(network)
        self.quick_search = quick_search(options)
        self.search = replace(
            self.quick_search, beam_size=options.beam_size, penalty=self.length_penalty
        )
        self.scoring = CaptionScoring(train, num_skipped=len(corpus.skipped))
        self._evaluated: CaptionSplit = corpus.splits["valid"]
        self._begin()

    # Examples -----------------------------------------------------------------------------------

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> CaptionBatches:
        return CaptionBatches(
            self.corpus.splits["train"],
            self.corpus.features,
            batch_tokens=self.options.batch_tokens,
            seed=self.config.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> ImageBatches:
        """All images of a split; it is the one that the next evaluation scores."""
        self._evaluated = self.corpus.splits[split]
        return ImageBatches(self._evaluated, self.corpus.features, batch_size=EVALUATION_IMAGES)

    # Loss ---------------------------------------------------------------------------------------

    def batch_loss(self, batch: CaptionBatch) -> tuple[Tensor, Tensor]:
        with self.training_products():
            return self.network.word_loss(
                (batch.features,),
                batch.caption,
                batch.lengths,
                teacher_forcing=self.teacher_forcing(),
            )

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: CaptionBatch) -> Tensor:
        if self.options.loss_scale == "caption":
            return loss_sum / batch.num_captions
        return loss_sum / batch.num_tokens

    # Metric -------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Forget the evaluation before."""
        self.found: dict[int, Hypothesis] = {}
        """Place of an image in the split -> what was written of it."""
        self.alignments: dict[int, WordRegions] = {}
        """The same -> what its words looked at most, with attention."""
        self._scored: ScoredCaptions | None = None

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self._begin()

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.quick_search)

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.search)

    def _evaluate(self, batch: ImageBatch, search: CaptionSearch) -> None:
        nats_I, num_tokens = self._reference_nats(batch)
        sums = [nats_I.sum(), nats_I.new_tensor(num_tokens)]
        self.evaluation_sums += torch.stack(sums).to(self.evaluation_sums)
        if not bool(nats_I.isfinite().all()):
            return  # nothing to search; that the run has diverged is said of the loss
        found = search([self.network], [batch.features])
        best = [of_one[0] for of_one in found]
        self.found.update(zip(batch.image.tolist(), best, strict=True))
        if self.options.image == "attention":
            self._align(batch, best)

    def _align(self, batch: ImageBatch, best: Sequence[Hypothesis]) -> None:
        caption_IT, _ = padded([one.tokens for one in best], batch.features.device)
        a_ITR = self.network.word_alignments((batch.features,), caption_IT)
        assert a_ITR is not None
        most = a_ITR.max(2)
        rows = zip(batch.image.tolist(), best, *(part.tolist() for part in most), strict=True)
        for place, one, weights, regions in rows:
            name, words = self._evaluated.names[place], self.words(one)
            self.alignments[place] = WordRegions.of(name, words, regions, weights)

    def words(self, found: Hypothesis) -> list[str]:
        """What was written."""
        return self.corpus.vocabulary.decode(found.tokens)

    @property
    def scored(self) -> ScoredCaptions:
        """What was written in the evaluation that was made last."""
        if self._scored is None:
            split, best = self._evaluated, [self.found[place] for place in sorted(self.found)]
            written = Written(captions=[*map(self.words, best)], references=split.captions)
            log_probs = [one.log_prob for one in best]
            self._scored = self.scoring.score(split, [written], log_probs=log_probs)
        return self._scored

    def _reference_nats(self, batch: ImageBatch) -> tuple[Tensor, int]:
        """-log p of all captions of each image together [I], float64, and their tokens."""
        split, device = self._evaluated, batch.features.device
        of_image = np.isin(split.image_of, batch.image.cpu().numpy())
        place_B = np.flatnonzero(of_image)
        caption_BT, lengths_B = split.rows.padded(place_B, end=END)
        owner_B = torch.from_numpy(split.image_of[place_B]).to(device)
        row_B = torch.searchsorted(batch.image, owner_B)
        log_p_BT = self.network.word_log_probs(
            (batch.features[row_B],),
            torch.from_numpy(caption_BT).to(device),
            torch.from_numpy(lengths_B).to(device),
        )
        nats_I = torch.zeros(len(batch.image), dtype=torch.float64, device=device)
        return nats_I.index_add_(0, row_B, -log_p_BT.double().sum(1)), int(lengths_B.sum())

    @property
    def findings(self) -> Sequence[dict[int, Any]]:
        return self.found, self.alignments

    @property
    def metric(self) -> str:
        return "cider"

    def evaluation_metric(self) -> float:
        return self.scored.cider

    def beside_metric(self) -> dict[str, float]:
        return self.scored.beside

    def validation_choice(self) -> float:
        if self.options.choose_by == "loss":
            return mean_loss(self.evaluation_sums)
        return HIGHEST_CIDER - self.evaluation_metric()  # the least is chosen

    @property
    def signature(self) -> str:
        test, num_skipped = self.corpus.splits["test"], len(self.corpus.skipped)
        return CaptionProtocol.of(test.captions, num_skipped=num_skipped).signature("cider")

    @property
    def bound(self) -> float | None:
        return (self.corpus.bound or {}).get("test")

    def keep_evaluation(self, folder: Path, split: str) -> None:
        self.scored.keep(folder, split, self.search.signature)
        if self.alignments:
            lines = [self.alignments[place] for place in sorted(self.alignments)]
            write_alignments(folder, split, lines)

    # Cost ---------------------------------------------------------------------------------------

    @property
    def num_train_units(self) -> int:
        train = self.corpus.splits["train"]
        return int(train.rows.length_N.sum()) + train.num_captions

    def units_in(self, batch: CaptionBatch) -> int:
        return int(batch.lengths.sum())

    def flops_per_unit(self) -> int:
        captions_per_token = self.corpus.splits["train"].num_captions / self.num_train_units
        per_image = self.network.flops_per_image()
        return int(self.network.flops_per_word() + per_image * captions_per_token)
