"""Captioning: a recurrence writes about an image.

Training maximises log p(caption | image) over every caption of every image; validation writes
greedily after each epoch, a finished run is measured by the configured beam search. The network is
`bench.captioning.network.captioner`.

Shapes: B captions, I images, R regions, T words, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.captioning.data.batches import CaptionBatch, CaptionBatches, ImageBatch, ImageBatches
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.network.captioner import CaptionNetwork, WordRegions, write_alignments
from bench.captioning.network.options import CaptioningOptions
from bench.captioning.network.search import quick_search
from bench.captioning.scoring import CaptionScoring, ScoredCaptions, Turn
from bench.core.config import RunConfig
from bench.data.tokens import END
from bench.layers.products import training_products
from bench.seq2seq.beam import Hypothesis
from bench.seq2seq.objective import WritingObjective
from bench.seq2seq.search import padded
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import own_options

EVALUATION_IMAGES = 200
"""Images of a batch that is evaluated."""
HIGHEST_CIDER = 1000.0
"""In percent."""


class CaptionMetric(SplitMetric):
    """CIDEr of the captions found for the images of a split."""

    def __init__(self, corpus: CaptionCorpus, options: CaptioningOptions, *, search: str) -> None:
        super().__init__(name="cider")
        self.corpus, self.options, self.search = corpus, options, search
        self.scoring = CaptionScoring.of(corpus)
        self.split = corpus.splits["valid"]
        """The split that is evaluated."""
        self.final = False
        """True where scores beside the metric are computed, too."""
        self.found: dict[int, Hypothesis] = self.keyed()
        """Place of an image in the split -> its caption."""
        self.alignments: dict[int, WordRegions] = self.keyed()
        """Place of an image -> the region each word attended to most."""
        self._scored: ScoredCaptions | None = None

    @property
    def signature(self) -> str:
        return self.scoring.protocol(self.corpus.splits["test"].captions).signature(self.name)

    def words(self, found: Hypothesis) -> list[str]:
        """Words of a caption."""
        return self.corpus.vocabulary.decode(found.tokens)

    @property
    def scored(self) -> ScoredCaptions:
        """Captions of the whole split with their scores."""
        if self._scored is None:
            best = [self.found[place] for place in sorted(self.found)]
            turn = Turn(captions=[*map(self.words, best)], references=self.split.captions)
            log_probs = [one.log_prob for one in best]
            self._scored = self.scoring.score(self.split, [turn], log_probs=log_probs)
        return self._scored

    def score(self, loss: float) -> Score:
        cider = self.scored.cider
        by_loss = self.options.choose_by == "loss"
        return Score(
            value=cider,
            loss=loss,
            choice=loss if by_loss else HIGHEST_CIDER - cider,
            beside=self.scored.beside if self.final else {},
        )

    def keep(self, folder: Path, split: str) -> None:
        self.scored.keep(folder, split, self.search)
        if self.alignments:
            lines = [self.alignments[place] for place in sorted(self.alignments)]
            write_alignments(folder, split, lines)

    def reset(self) -> None:
        super().reset()
        self._scored = None


class CaptioningObjective(WritingObjective):
    """Captioning by any causal recurrence, the image before its words or beside them."""

    Options = CaptioningOptions
    corpus: CaptionCorpus
    network: CaptionNetwork

    def __init__(self, config: RunConfig, corpus: CaptionCorpus) -> None:
        options = own_options(config, CaptioningOptions)
        super().__init__(config, corpus, options)
        self.options = options
        store = corpus.features
        network = CaptionNetwork(
            config.model,
            options,
            feature_shape=store.array.shape[1:],
            counts_V=torch.from_numpy(np.array(corpus.vocabulary.counts, np.int64)),
            products=training_products(config.trainer),
        )
        network.scale.learn(store.rows, corpus.splits["train"].feature_row)
        self.set_network(network)
        self.quick_search = quick_search(options)
        self.search = replace(
            self.quick_search, beam_size=options.beam_size, penalty=self.length_penalty
        )
        self.metric: CaptionMetric = CaptionMetric(corpus, options, search=self.search.signature)

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
        self.metric.split = self.corpus.splits[split]
        return ImageBatches(self.metric.split, self.corpus.features, batch_size=EVALUATION_IMAGES)

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

    # Evaluation ---------------------------------------------------------------------------------

    def evaluate_batch(self, batch: ImageBatch, *, final: bool) -> None:
        nats_I, num_tokens = self._reference_nats(batch)
        self.metric.final = final
        self.metric.update(nats_I.sum(), nats_I.new_tensor(num_tokens))
        if not bool(nats_I.isfinite().all()):
            return  # diverged: there is nothing to search
        search = self.search if final else self.quick_search
        best = [found[0] for found in search([self.network], [batch.features])]
        self.metric.found.update(zip(batch.image.tolist(), best, strict=True))
        if self.options.image == "attention":
            self._align(batch, best)

    def _reference_nats(self, batch: ImageBatch) -> tuple[Tensor, int]:
        """-log p of all captions of each image together [I], float64, and their tokens."""
        split, device = self.metric.split, batch.features.device
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

    def _align(self, batch: ImageBatch, best: Sequence[Hypothesis]) -> None:
        caption_IT, _ = padded([one.tokens for one in best], batch.features.device)
        a_ITR = self.network.word_alignments((batch.features,), caption_IT)
        assert a_ITR is not None
        most = a_ITR.max(2)
        rows = zip(batch.image.tolist(), best, *(part.tolist() for part in most), strict=True)
        for place, one, weights, regions in rows:
            name, words = self.metric.split.names[place], self.metric.words(one)
            self.metric.alignments[place] = WordRegions.of(name, words, regions, weights)

    # Cost ---------------------------------------------------------------------------------------

    @property
    def bound(self) -> float | None:
        return (self.corpus.bound or {}).get("test")

    @property
    def num_train_units(self) -> int:
        return self.corpus.splits["train"].num_tokens

    def units_in(self, batch: CaptionBatch) -> int:
        return int(batch.lengths.sum())

    def flops_per_unit(self) -> int:
        captions_per_token = self.corpus.splits["train"].num_captions / self.num_train_units
        per_image = self.network.flops_per_image()
        return int(self.network.flops_per_word() + per_image * captions_per_token)
