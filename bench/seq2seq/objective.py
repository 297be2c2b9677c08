"""Base of the objectives whose network writes words and is searched: translation, captioning."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal

from torch import Tensor

from bench.core.config import RunConfig
from bench.data.corpora import Corpus
from bench.layers.products import float32_products_as, products_in_effect, training_products
from bench.seq2seq.beam import LengthPenalty
from bench.seq2seq.options import WriterOptions
from bench.seq2seq.writer import Writer, teacher_forcing_share
from bench.training.objective import Objective


class WritingObjective(Objective):
    """Base whose subclass makes a network and passes it to `set_network`.

    Evaluation, search and scoring are in float32, so that they agree on every probability; in
    training all products are as the trainer's option says.
    """

    unit: ClassVar[Literal["token", "frame", "label"]] = "token"
    final_search = "wider"
    network: Writer

    def __init__(self, config: RunConfig, corpus: Corpus, options: WriterOptions) -> None:
        super().__init__(config, corpus)
        self.writer_options = options

    def set_network(self, network: Writer) -> None:
        self.network = network
        vocabulary_size = network.embedding.num_embeddings
        self.loss_limit = 3.0 * math.log(vocabulary_size)  # a uniform guess costs log V

    @property
    def length_penalty(self) -> LengthPenalty:
        """Penalty of the search that a finished run is measured by."""
        options = self.writer_options
        return LengthPenalty(kind=options.length_penalty, alpha=options.alpha)

    # Loss ---------------------------------------------------------------------------------------

    def backward(self, loss: Tensor, *arguments: Any, **settings: Any) -> None:
        with self.training_products():
            super().backward(loss, *arguments, **settings)

    def training_products(self) -> AbstractContextManager[None]:
        """Precision of all products: in training the option's, else exact."""
        return float32_products_as(self.network.output.products, self.device)

    def teacher_forcing(self) -> float:
        """Current share of the words that the decoder reads from the reference."""
        options = self.writer_options
        if not self.training:
            return 1.0
        return teacher_forcing_share(
            options.teacher_forcing,
            self.global_step,
            num_steps=options.teacher_forcing_steps,
            floor=options.teacher_forcing_floor,
        )

    @property
    def products_in_effect(self) -> str:
        return products_in_effect(training_products(self.config.trainer), self.device)
