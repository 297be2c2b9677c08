"""The programs that recognisers of speech are held against: what one writes first.

CTC as in many a tutorial: a packed `nn.LSTM`, or a recurrence by its plain loop, a linear layer, a
log-softmax, the library's loss, Adam as it comes; utterances in batches as they happen to fall.

Shapes: B utterances, T frames, D features, H hidden, V outputs, of which 0 is the blank.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bench.models.recurrence import Recurrence
from bench.speech.data.batches import SpeechBatch, SpeechBatches
from bench.speech.data.prepared import FeatureSplit
from bench.speech.objectives.speech import SpeechObjective
from bench.speech.objectives.stacking import num_stacks, stack


class PlainCTC(nn.Module):
    """An LSTM over packed sequences, or a recurrence by its plain loop, under CTC."""

    def __init__(
        self, network: nn.LSTM | Recurrence, size: int, num_outputs: int, stack_frames: int
    ) -> None:
        super().__init__()
        self.stack_frames = stack_frames
        self.network = network
        self.output = nn.Linear(size, num_outputs)

    def forward(self, batch: SpeechBatch) -> Tensor:
        """Mean loss over the utterances."""
        x_BTD = stack(batch.features, self.stack_frames)
        lengths_B = num_stacks(batch.num_frames, self.stack_frames)
        if isinstance(self.network, nn.LSTM):
            # Lengths of packed sequences lie on the CPU.
            packed = pack_padded_sequence(
                x_BTD, lengths_B.cpu(), batch_first=True, enforce_sorted=False
            )
            y_BTH, _ = pad_packed_sequence(self.network(packed)[0], batch_first=True)
        else:
            y_BTH, _ = self.network.forward_reference(x_BTD, None, lengths_B)
        log_p_TBV = F.log_softmax(self.output(y_BTH), dim=2).transpose(0, 1)
        loss_B = F.ctc_loss(log_p_TBV, batch.labels, lengths_B, batch.num_labels, reduction="none")
        return loss_B.mean()


def library_program(objective: SpeechObjective) -> PlainCTC:
    """The library's LSTM with as many hidden units, layers, directions and frames a step."""
    model, stack_frames = objective.config.model, objective.speech_options.stack_frames
    hidden_size = int(model["hidden_size"] or 0)
    both = model["direction"] == "bidirectional"
    lstm = nn.LSTM(
        objective.corpus.num_features * stack_frames,
        hidden_size,
        num_layers=int(model["num_layers"] or 1),
        bidirectional=both,
        batch_first=True,
    )
    num_outputs = objective.corpus.corpus.num_outputs
    return PlainCTC(lstm, hidden_size * (2 if both else 1), num_outputs, stack_frames)


def batches_at_random(
    split: FeatureSplit, *, num_batches: int, num_utterances: int, seed: int
) -> list[SpeechBatch]:
    """Utterances in any order, as many in each batch, padded to the longest of it."""
    order = np.random.default_rng(seed).permutation(len(split))
    loader = SpeechBatches(split, batch_frames=1)
    starts = [number * num_utterances % len(split) for number in range(num_batches)]
    loader.batches = [order[start : start + num_utterances] for start in starts]
    return [loader.batch(number) for number in range(num_batches)]
