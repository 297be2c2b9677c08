"""Outputs of language models, kept beside the weights of a run.

    log_probs_<split>.npy    natural log p(w_t | w_1 .. w_{t-1}) of each token [N], float32
    texts-test.jsonl         how texts were drawn from the model, then a line for each

Shapes: N tokens, U blocks, K statistics, X any leading dimensions.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.core.json_lines import read_json_lines, write_json_lines
from bench.core.record import Record, write_atomically
from bench.core.suite import Suite
from bench.runs.outputs import Outputs, Sample, SampleTable, SampleWord, find_outputs
from bench.text.metric import nats_per_symbol, value_of

Floats = NDArray[np.float64]


def log_probs_path(folder: Path, split: str) -> Path:
    """Path of the log-probabilities in a run's artifacts."""
    return folder / f"log_probs_{split}.npy"


def write_log_probs(folder: Path, split: str, log_probs_N: Floats) -> None:
    """Keep the log-probabilities of a split; readers see the whole file or none."""
    content = io.BytesIO()
    np.save(content, np.asarray(log_probs_N, dtype=np.float32))
    write_atomically(log_probs_path(folder, split), content.getvalue())


def read_log_probs(folder: Path, split: str) -> Floats | None:
    """Log-probabilities that were kept, as float64 [N]; None where there are none."""
    path = log_probs_path(folder, split)
    if not path.is_file():
        return None
    try:
        log_probs_N = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BenchError(
            f"{path}: not an array ({error}); delete it to have it made anew"
        ) from None
    return np.asarray(log_probs_N, dtype=np.float64)


class TextSample(msgspec.Struct, frozen=True, kw_only=True):
    """One text, from the start of a sentence on."""

    text: str


class TextSamplesHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of texts."""

    drawn: str
    """Way of drawing, such as `from p(w | history), seed 1`."""


@dataclass(frozen=True, kw_only=True)
class TextSamples:
    """All texts of a file."""

    header: TextSamplesHeader
    lines: Sequence[TextSample]


def text_samples_path(folder: Path, split: str) -> Path:
    """Path of the texts in a run's artifacts."""
    return folder / f"texts-{split}.jsonl"


def write_text_samples(folder: Path, split: str, made: TextSamples) -> None:
    """Keep the texts of a split."""
    write_json_lines(text_samples_path(folder, split), made.header, made.lines)


def read_text_samples(folder: Path, split: str) -> TextSamples | None:
    """Texts that were kept, None where there are none."""
    found = read_json_lines(text_samples_path(folder, split), TextSamplesHeader, TextSample)
    return TextSamples(header=found[0], lines=found[1]) if found else None


# Losses of neighbouring sentences depend on one another; a block has to be long against that. On
# Penn Treebank the spread of block means over the square root of their number, which is the error
# of perplexity, grows fourfold from single words to blocks of 1,000 and hardly from there on.
_USUAL_BLOCK_LENGTHS = {"bits-per-character": 5000}
_USUAL_BLOCK_LENGTH = 1000
_FEWEST_USUAL_BLOCKS = 50
SHORT_TEXT_BLOCKS = 20
"""Usual blocks below which a text is short."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBlocks:
    """Consecutive tokens, cut into blocks; the last one may be shorter.

    The statistics are the loss in nats and the number of tokens.
    """

    sums: Floats
    block_length: int
    metric_name: str

    @property
    def noun(self) -> str:
        num_tokens = int(self.sums[:, 1].sum())
        blocks = f"{len(self.sums):,} blocks of {self.block_length:,}"
        return f"{num_tokens:,} tokens in {blocks}"

    @property
    def method(self) -> str:
        name = self.metric_name.replace("-", " ")
        return f"losses in nats are added over blocks and each resample is turned into {name}"

    @property
    def caution(self) -> str | None:
        """Remark on a text too short for blocks that are long against its dependences."""
        num_tokens = int(self.sums[:, 1].sum())
        usual = _USUAL_BLOCK_LENGTHS.get(self.metric_name, _USUAL_BLOCK_LENGTH)
        if num_tokens >= SHORT_TEXT_BLOCKS * usual:
            return None
        return (
            f"Over test units: {num_tokens:,} tokens are few. Where neighbouring losses depend on "
            "one another strongly, the intervals are too narrow: 89 % where 95 % is said."
        )

    def metric(self, sums_XK: Floats) -> Floats:
        nats_X = np.asarray(sums_XK[..., 0] / sums_XK[..., 1])
        if self.metric_name == "bits-per-character":
            return nats_X / math.log(2)
        return np.exp(np.minimum(nats_X, 700.0))


def token_blocks(log_probs_N: Floats, *, metric: str, block_length: int | None) -> TokenBlocks:
    """The tokens of a run in blocks of `block_length`, or of a usual length.

    Usual: 1,000 words or 5,000 characters, and less where that gives fewer than fifty blocks.
    Raises BenchError where fewer than two blocks remain.
    """
    num_tokens = len(log_probs_N)
    length = block_length or usual_block_length(num_tokens, metric)
    starts = np.arange(0, num_tokens, length)
    if len(starts) < 2:
        raise BenchError(
            f"--block-length {length}: {num_tokens:,} tokens make {len(starts)} block, give at "
            f"most {max(1, num_tokens // 2):,}"
        )
    nats_U = -np.add.reduceat(log_probs_N, starts)
    tokens_U = np.diff([*starts, num_tokens]).astype(np.float64)
    return TokenBlocks(
        sums=np.stack([nats_U, tokens_U], axis=1), block_length=length, metric_name=metric
    )


def usual_block_length(num_tokens: int, metric: str) -> int:
    """Tokens a block, unless a length is given."""
    usual = _USUAL_BLOCK_LENGTHS.get(metric, _USUAL_BLOCK_LENGTH)
    return max(1, min(usual, num_tokens // _FEWEST_USUAL_BLOCKS))


TOLERANCE_NATS = 1e-3
"""Room for float32 sums and for products that another machine rounds otherwise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextOutputs(Outputs):
    """Log-probability of each token of a split, and texts that were drawn after it."""

    noun: ClassVar[str] = "per-token log-probabilities"

    log_probs: Floats
    """[N]"""
    metric_name: str
    texts: TextSamples | None = None

    @classmethod
    def path(cls, folder: Path, split: str) -> Path:
        return log_probs_path(folder, split)

    @classmethod
    def read(cls, folder: Path, split: str, record: Record | None = None) -> Self | None:
        if (log_probs_N := read_log_probs(folder, split)) is None:
            return None
        texts = read_text_samples(folder, split)
        return cls(log_probs=log_probs_N, metric_name=record.metric if record else "", texts=texts)

    def write(self, folder: Path, split: str) -> None:
        write_log_probs(folder, split, self.log_probs)
        if self.texts is not None:
            write_text_samples(folder, split, self.texts)

    @property
    def nats(self) -> float:
        """Mean loss of a token."""
        return -math.fsum(self.log_probs) / max(len(self.log_probs), 1)

    def value(self) -> float:
        return value_of(self.metric_name, self.nats)

    def check(self, record: Record, split: str, path: Path) -> None:
        expected = nats_per_symbol(record.metric, record.metrics[split])
        if not abs(self.nats - expected) <= TOLERANCE_NATS:
            raise BenchError(
                f"{path}: {self.nats:.4f} nats a token where the record {record.id} says "
                f"{expected:.4f}; delete it, or run again with --again"
            )

    def units(self, block_length: int | None = None) -> TokenBlocks:
        return token_blocks(self.log_probs, metric=self.metric_name, block_length=block_length)

    def samples(self) -> SampleTable | None:
        if self.texts is None:
            return None
        name = f"Drawn {self.texts.header.drawn}"
        rows = [
            Sample(name=name, words=[SampleWord(text=line.text)], cells=[line.text])
            for line in self.texts.lines
        ]
        return SampleTable(columns=["text"], rows=rows, noun="texts", paired=False)


def token_log_probs(suite: Suite, record: Record, split: str) -> Floats:
    """Natural log-probability of each token of `split` [N] under a finished run.

    Raises BenchError where they are gone and cannot be regenerated, and where their mean is not the
    value in the record.
    """
    found = find_outputs(suite, record, split)
    assert isinstance(found, TextOutputs)
    return found.log_probs
