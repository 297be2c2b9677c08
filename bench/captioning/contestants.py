"""Training steps of captioning beside plain programs, and decoding in batches and one by one.

For decoding, captions are at most as long as the mean reference, so that an untrained network has
the work of a trained one.

Shapes: B captions, T words, R regions, D features, E embedding, H hidden, A context, R readout.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.captioning.data.batches import CaptionBatch, ImageBatches
from bench.captioning.nearest_contestants import nearest_speed
from bench.captioning.objectives.captioning import CaptioningObjective
from bench.data.corpora import Corpus
from bench.models.recurrence import valid_steps
from bench.runs.resolve import Resolved
from bench.seq2seq.writer import shift_right
from bench.speed.contest import (
    SpeedReport,
    contest,
    decoding_table,
    heading,
    plain_contestants,
    shipped_contestant,
    timed_objective,
    training_facts,
)
from bench.speed.machine import device_name

Library = Literal["gru", "lstm"]
PADDING = -100


def captioning_speed(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> SpeedReport:
    """Training steps of the shipped path and of plain programs, then decoding of the test split.

    Of nearest neighbours, the stages of an evaluation instead.
    """
    if resolved.config.model["name"] == "nearest":
        return nearest_speed(resolved, corpus, num_rounds=num_rounds)
    objective = timed_objective(CaptioningObjective, resolved, corpus)
    shipped, splits = shipped_contestant(objective), objective.corpus.splits
    models = {
        f"plain nn.{library.upper()}": PlainCaptioner(library, objective)
        for library in get_args(Library)
    }
    make, num_captions = objective.train_loader().batch, splits["train"].num_captions
    plain = plain_contestants(objective, models, shipped.batches, make, num_captions)
    max_length = round(float(splits["test"].rows.length_N.mean()))
    search = replace(objective.search, max_length=max_length)
    return SpeedReport(
        heading=heading(
            resolved,
            f"image {objective.options.image}",
            training_facts(objective, shipped.batches, unit="tokens"),
            f"products {objective.products_in_effect}",
            device_name(objective.device),
        ),
        tables=[
            contest(objective, [shipped, *plain], unit="tokens", num_rounds=num_rounds),
            decoding_table(
                objective,
                ImageBatches(splits["test"], objective.corpus.features, batch_size=1),
                decode=lambda batch: search([objective.network], [batch.features]),
                size_of=lambda batch: len(batch.image),
                source="image",
                beam_size=search.beam_size,
            ),
        ],
    )


class PlainCaptioner(nn.Module):
    """The configured model, as one writes it first, around the library's recurrence.

    The image is read before the words or beside each of them, a step at a time where each step
    needs its context; `nn.Linear` scores every place of the padded batch.
    """

    def __init__(self, library: Library, objective: CaptioningObjective) -> None:
        super().__init__()
        network, model = objective.network, objective.config.model
        self.options = options = objective.options
        hidden, layers = int(model["hidden_size"] or 0), int(model["num_layers"] or 1)
        size, num_features = network.embedding.embedding_dim, network.feature_shape[-1]
        self.attends = options.image == "attention"
        self.readout_kind = network.decoder.readout.kind
        context = {"first": 0, "every-word": size, "attention": num_features}[options.image]
        self.scale = network.scale
        self.word = nn.Embedding(network.embedding.num_embeddings, size)
        self.image_layer = nn.Linear(num_features, options.image_hidden or 1)
        self.image = nn.Linear(options.image_hidden or num_features, size)
        self.enters_step = context > 0 and network.decoder.attends_before
        input_size = size + self.enters_step * context
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[library]
        self.recurrence = kind(input_size, hidden, layers, batch_first=True)
        self.num_states = 2 if library == "lstm" else 1
        self.bridge = nn.Linear(num_features, self.num_states * layers * hidden)
        units = options.attention_size or hidden
        self.query = nn.Linear(hidden, units, bias=False)
        self.key = nn.Linear(num_features, units, bias=False)
        self.v = nn.Linear(units, 1, bias=False)
        read = hidden + context + (size if self.readout_kind == "multimodal" else 0)
        self.readout = nn.Linear(read, network.decoder.readout.size, bias=False)
        self.output = nn.Linear(network.decoder.readout.size, network.embedding.num_embeddings)

    def forward(self, batch: CaptionBatch) -> Tensor:
        """Mean loss over the words and ends."""
        word_BTE, feature_BD = self.word(shift_right(batch.caption)), self.scale(batch.features)
        if self.attends:
            r_BTR = self._attend(word_BTE, feature_BD)
        else:
            mean_BD = feature_BD.mean(1) if feature_BD.dim() == 3 else feature_BD
            if self.options.image_hidden:
                mean_BD = torch.tanh(self.image_layer(mean_BD))
            r_BTR = self._read_image(word_BTE, self.image(mean_BD)[:, None])
        counted_BT = valid_steps(batch.lengths, r_BTR.shape[1], r_BTR)
        target_BT = batch.caption.where(counted_BT, PADDING)
        score_BTV = self.output(r_BTR)
        return F.cross_entropy(score_BTV.flatten(0, 1), target_BT.flatten(), ignore_index=PADDING)

    def _read_image(self, word_BTE: Tensor, image_B1E: Tensor) -> Tensor:
        if self.options.image == "first":
            s_BTH, _ = self.recurrence(torch.cat([image_B1E, word_BTE], dim=1))
            return self._readout(s_BTH[:, 1:], None, word_BTE)
        image_BTE = image_B1E.expand(-1, word_BTE.shape[1], -1)
        x_BTE = torch.cat([word_BTE, image_BTE], dim=2) if self.enters_step else word_BTE
        s_BTH, _ = self.recurrence(x_BTE)
        return self._readout(s_BTH, image_BTE, word_BTE)

    def _attend(self, word_BTE: Tensor, region_BRD: Tensor) -> Tensor:
        key_BRK, readouts = self.key(region_BRD), list[Tensor]()
        state = self._first_state(region_BRD.mean(1))
        for word_B1E in word_BTE.split(1, dim=1):  # type: ignore[no-untyped-call]
            query_BH = (state[0] if isinstance(state, tuple) else state)[-1]
            c_B1A = self._context(query_BH, key_BRK, region_BRD)
            x_B1E = torch.cat([word_B1E, c_B1A], dim=2) if self.enters_step else word_B1E
            s_B1H, state = self.recurrence(x_B1E, state)
            if not self.enters_step:
                c_B1A = self._context(s_B1H[:, 0], key_BRK, region_BRD)
            readouts.append(self._readout(s_B1H, c_B1A, word_B1E))
        return torch.cat(readouts, dim=1)

    def _first_state(self, mean_BD: Tensor) -> Tensor | tuple[Tensor, ...]:
        mapped_B = torch.tanh(self.bridge(mean_BD))
        layers, hidden = self.recurrence.num_layers, self.recurrence.hidden_size
        states = mapped_B.view(len(mean_BD), layers, self.num_states, hidden)
        parts = tuple(part.transpose(0, 1).contiguous() for part in states.unbind(2))
        return parts if self.num_states == 2 else parts[0]

    def _context(self, query_BH: Tensor, key_BRK: Tensor, region_BRD: Tensor) -> Tensor:
        if self.options.attention == "additive":
            e_BR = self.v(torch.tanh(self.query(query_BH)[:, None] + key_BRK))[..., 0]
        else:
            keys_BRK = region_BRD if self.options.attention == "dot" else key_BRK
            e_BR = torch.bmm(keys_BRK, query_BH[:, :, None])[..., 0]
        return torch.bmm(e_BR.softmax(1)[:, None], region_BRD)

    def _readout(self, s_BTH: Tensor, c_BTA: Tensor | None, word_BTE: Tensor) -> Tensor:
        parts = [s_BTH] if c_BTA is None else [s_BTH, c_BTA]
        if self.readout_kind == "linear":
            return torch.cat(parts, dim=2)
        if self.readout_kind == "tanh":
            return torch.tanh(self.readout(torch.cat(parts, dim=2)))
        return 1.7159 * torch.tanh(2 / 3 * self.readout(torch.cat([*parts, word_BTE], dim=2)))
