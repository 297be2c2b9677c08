"""Training steps of translation beside plain programs, and decoding in batches and one by one.

For decoding, each translation is as long as its reference, so that an untrained network has the
work of a trained one.

Shapes: B sentences, S source words, T target words, E embedding, H hidden, A annotation, R readout.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.core.errors import BenchError
from bench.data.corpora import Corpus
from bench.data.tokens import END, START
from bench.models.recurrence import valid_steps
from bench.runs.resolve import Resolved
from bench.seq2seq.beam import beam_search
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
from bench.translation.data.batches import TranslationBatch, TranslationBatches
from bench.translation.objective import TranslationObjective, as_pairs

Library = Literal["gru", "lstm"]
State = Tensor | tuple[Tensor, ...]
PADDING = -100


def translation_speed(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> SpeedReport:
    """Training steps of the shipped path and of plain programs, then decoding of the test split."""
    objective = timed_objective(TranslationObjective, resolved, corpus)
    shipped, splits = shipped_contestant(objective), objective.corpus.splits
    models = {
        f"plain nn.{library.upper()}": PlainTranslation(library, objective)
        for library in get_args(Library)
    }
    make, num_pairs = objective.train_loader().batch, len(splits["train"])
    plain = plain_contestants(objective, models, shipped.batches, make, num_pairs)
    beam_size = objective.options.beam_size

    def decode(batch: TranslationBatch) -> None:
        pairs = as_pairs(batch)
        beam_search(
            objective.network.stepwise(pairs.source, pairs.source_lengths),
            pairs.target_lengths,
            start=START,
            end=END,
            forbidden=(START,),
            beam_size=beam_size,
        )

    return SpeedReport(
        heading=heading(
            resolved,
            training_facts(objective, shipped.batches, unit="target tokens"),
            f"products {objective.products_in_effect}",
            device_name(objective.device),
        ),
        tables=[
            contest(objective, [shipped, *plain], unit="target tokens", num_rounds=num_rounds),
            decoding_table(
                objective,
                TranslationBatches(splits["test"], batch_tokens=1, order="sorted"),
                decode=decode,
                size_of=lambda batch: len(batch.target),
                source="sentence",
                beam_size=beam_size,
            ),
        ],
    )


class PlainTranslation(nn.Module):
    """The configured model, as one writes it first, around the library's recurrence.

    Sources are packed; targets are read at once, or a step at a time where each step needs its
    context; attention is `bmm`, and `nn.Linear` scores every place of the padded batch.
    """

    def __init__(self, library: Library, objective: TranslationObjective) -> None:
        super().__init__()
        self.options = options = objective.options
        model, corpus = objective.config.model, objective.corpus
        if options.encoder == "words":
            raise BenchError("an encoder of words alone has no plain program beside it")
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[library]
        hidden, layers = int(model["hidden_size"] or 0), int(model["num_layers"] or 1)
        is_bidirectional = model["direction"] == "bidirectional"
        self.num_layers = options.decoder_layers or layers
        self.hidden_size = options.decoder_size or hidden
        size, annotation = options.embedding_size or hidden, hidden * (1 + is_bidirectional)
        self.source = nn.Embedding(len(corpus.source.symbols), size)
        self.target = nn.Embedding(len(corpus.target.symbols), size)
        self.encoder = kind(size, hidden, layers, batch_first=True, bidirectional=is_bidirectional)
        self.attends = options.attention != "none"
        self.before = self.attends and options.attend == "before"
        self.feeds = options.feeding == "readout"
        context = annotation if self.attends else 0
        readout = objective.network.decoder.readout.size
        input_size = size + self.before * context + self.feeds * readout
        self.decoder = kind(input_size, self.hidden_size, self.num_layers, batch_first=True)
        sizes = (hidden, layers, is_bidirectional)
        self.is_identity = sizes == (self.hidden_size, self.num_layers, False)
        num_states = 2 if library == "lstm" else 1
        self.bridge = nn.Linear(
            num_states * layers * annotation, num_states * self.num_layers * self.hidden_size
        )
        units = options.attention_size or self.hidden_size
        self.query = nn.Linear(self.hidden_size, units, bias=False)
        self.key = nn.Linear(annotation, units, bias=False)
        self.v = nn.Linear(units, 1, bias=False)
        if options.readout == "maxout":
            self.readout = nn.Linear(self.hidden_size + context + size, 2 * readout)
        else:
            self.readout = nn.Linear(self.hidden_size + context, readout, bias=False)
        self.readout_size = readout
        self.output = nn.Linear(readout, len(corpus.target.symbols))

    def forward(self, batch: TranslationBatch) -> Tensor:
        """Mean loss over the target words and ends."""
        pairs = as_pairs(batch)
        packed = pack_padded_sequence(
            self.source(pairs.source),
            pairs.source_lengths.cpu(),  # the library requires it
            batch_first=True,
            enforce_sorted=False,
        )
        outputs, last = self.encoder(packed)
        h_BSA, _ = pad_packed_sequence(outputs, batch_first=True)
        valid_BS = valid_steps(pairs.source_lengths, h_BSA.shape[1], h_BSA)
        word_BTE = self.target(shift_right(pairs.target))
        state = last if self.is_identity else self._bridged(last)
        if self.before or self.feeds:
            r_BTR = self._steps(word_BTE, h_BSA, valid_BS, state)
        else:
            s_BTH, _ = self.decoder(word_BTE, state)
            c_BTA = self._context(s_BTH, h_BSA, self.key(h_BSA), valid_BS)
            r_BTR = self._readout(s_BTH, c_BTA, word_BTE)
        counted_BT = valid_steps(pairs.target_lengths, r_BTR.shape[1], r_BTR)
        target_BT = pairs.target.where(counted_BT, PADDING)
        score_BTV = self.output(r_BTR)
        return F.cross_entropy(score_BTV.flatten(0, 1), target_BT.flatten(), ignore_index=PADDING)

    def _bridged(self, last: State) -> State:
        parts = last if isinstance(last, tuple) else (last,)
        flat_B = torch.cat([layer for layers in zip(*parts, strict=True) for layer in layers], 1)
        mapped_B = torch.tanh(self.bridge(flat_B))
        states = mapped_B.view(len(flat_B), self.num_layers, len(parts), self.hidden_size)
        first = tuple(part.transpose(0, 1).contiguous() for part in states.unbind(2))
        return first if isinstance(last, tuple) else first[0]

    def _steps(self, word_BTE: Tensor, h_BSA: Tensor, valid_BS: Tensor, state: State) -> Tensor:
        key_BSK, readouts = self.key(h_BSA), list[Tensor]()
        r_B1R = word_BTE.new_zeros(len(word_BTE), 1, self.readout_size)
        for word_B1E in word_BTE.split(1, dim=1):  # type: ignore[no-untyped-call]
            before_B1H = (state[0] if isinstance(state, tuple) else state)[-1][:, None]
            c_B1A, inputs = None, [word_B1E]
            if self.before:
                c_B1A = self._context(before_B1H, h_BSA, key_BSK, valid_BS)
                assert c_B1A is not None
                inputs.append(c_B1A)
            if self.feeds:
                inputs.append(r_B1R)
            s_B1H, state = self.decoder(torch.cat(inputs, dim=2), state)
            if not self.before:
                c_B1A = self._context(s_B1H, h_BSA, key_BSK, valid_BS)
            elif self.options.readout == "maxout":
                s_B1H = before_B1H
            r_B1R = self._readout(s_B1H, c_B1A, word_B1E)
            readouts.append(r_B1R)
        return torch.cat(readouts, dim=1)

    def _context(
        self, query_BTH: Tensor, h_BSA: Tensor, key_BSK: Tensor, valid_BS: Tensor
    ) -> Tensor | None:
        if not self.attends:
            return None
        if self.options.attention == "additive":
            units_BTSK = torch.tanh(self.query(query_BTH)[:, :, None] + key_BSK[:, None])
            e_BTS = self.v(units_BTSK)[..., 0]
        elif self.options.attention == "mean":
            e_BTS = query_BTH.new_zeros(*query_BTH.shape[:2], h_BSA.shape[1])
        else:
            keys = h_BSA if self.options.attention == "dot" else key_BSK
            e_BTS = torch.bmm(query_BTH, keys.transpose(1, 2))
        a_BTS = e_BTS.masked_fill(~valid_BS[:, None], -math.inf).softmax(2)
        return torch.bmm(a_BTS, h_BSA)

    def _readout(self, s_BTH: Tensor, c_BTA: Tensor | None, word_BTE: Tensor) -> Tensor:
        parts = [s_BTH] if c_BTA is None else [s_BTH, c_BTA]
        if self.options.readout == "linear":
            return torch.cat(parts, dim=2)
        if self.options.readout == "tanh":
            return torch.tanh(self.readout(torch.cat(parts, dim=2)))
        pairs = self.readout(torch.cat([*parts, word_BTE], dim=2))
        return torch.as_tensor(pairs.view(*pairs.shape[:2], -1, 2).amax(3))
