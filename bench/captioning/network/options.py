"""Options of captioners and ranking networks, and the scaling of features.

The defaults of captioners are those of O. Vinyals, A. Toshev, S. Bengio and D. Erhan, "Show and
tell: a neural image caption generator", 2015: the image is read before the first word, the softmax
reads the outputs.

Shapes: N vectors of images or regions, D features, I images of a split.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.config import Count, Positive, Share
from bench.core.structs import Frozen
from bench.seq2seq.options import Size, WriterOptions

Scaling = Literal["none", "unit", "standard"]
BLOCK = 1000
"""Images whose features are in memory at once."""
Floats = NDArray[np.float64]
Rows = Callable[[NDArray[np.int64]], NDArray[np.float32]]


class Scale(nn.Module):
    """Features [..., D] as they are, of length one, or standardised.

    Means and deviations are part of the weights, so that a network can be used without the images
    that it was trained on.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, scaling: Scaling, num_features: int) -> None:
        super().__init__()
        self.scaling = scaling
        if scaling == "standard":
            self.register_buffer("mean", torch.zeros(num_features))
            self.register_buffer("deviation", torch.ones(num_features))

    def learn(self, rows: Rows, row_I: NDArray[np.int64]) -> None:
        """Set means and deviations to those of the images at `row_I` of a store."""
        if self.scaling != "standard":
            return
        for buffer, values_D in zip((self.mean, self.deviation), moments(rows, row_I), strict=True):
            buffer.copy_(torch.from_numpy(values_D))

    def forward(self, feature_BD: Tensor) -> Tensor:
        if self.scaling == "unit":
            return nn.functional.normalize(feature_BD, dim=-1)
        if self.scaling == "standard":
            return (feature_BD - self.mean) / self.deviation
        return feature_BD


def moments(rows: Rows, row_I: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature over images and regions; 1 for a constant one."""
    blocks = [row_I[first : first + BLOCK] for first in range(0, len(row_I), BLOCK)]
    sums = [_sums(np.asarray(rows(block), np.float64)) for block in blocks]
    count, total_D, squares_D = (sum(part) for part in zip(*sums, strict=True))
    mean_D = np.asarray(total_D / count)
    variance_D = np.maximum(np.asarray(squares_D / count) - mean_D**2, 0.0)
    # Below this the difference of two float64 sums is rounding, not variance.
    constant_D = variance_D <= 1e-12 * np.maximum(mean_D**2, 1.0)
    return mean_D, np.where(constant_D, 1.0, np.sqrt(variance_D))


def _sums(feature_BD: Floats) -> tuple[float, Floats, Floats]:
    flat_ND = feature_BD.reshape(-1, feature_BD.shape[-1])
    return float(len(flat_ND)), flat_ND.sum(0), (flat_ND**2).sum(0)


Image = Literal["first", "every-word", "attention"]


class CaptioningOptions(WriterOptions, frozen=True, kw_only=True):
    """Options of the `captioning` objective."""

    image: Image = "first"
    """first: a step of the recurrence before the words (Show and Tell); every-word: beside every
    word (J. Mao et al., m-RNN, 2015); attention: a weighted mean of its regions beside every word
    (K. Xu et al., Show, attend and tell, 2015, soft), where features come by regions."""
    scaling: Scaling = "standard"
    """Scaling of features: none; each vector to length one; each feature to mean 0 and variance 1
    over the training images."""
    image_hidden: Size = 0
    """Units of a tanh layer between the features and the image's vector, not with attention; 0:
    none, as in the papers, whose features come from a deep network."""
    enters: Literal["usual", "step", "readout"] = "usual"
    """Input of the image of `every-word` and `attention`: to the recurrence's step and the readout,
    or to the readout alone. usual: readout for every-word (m-RNN), step for attention (Xu et al.).
    Ignored where the image comes first."""
    attention: Literal["additive", "dot", "general"] = "additive"
    """Weighting of regions where `image` is attention; ignored otherwise."""
    readout: Literal["usual", "linear", "tanh", "multimodal"] = "usual"
    """Input of the softmax from output, image and word. usual: the output alone where the image
    comes first, multimodal (m-RNN's layer) where it is beside every word."""
    embeddings: Literal["separate", "tied"] = "separate"
    """tied: output weights are the word vectors."""
    dropout_image: Share = 0.0
    """Share of the image's vector that is dropped."""
    dropout_words: Share = 0.0
    """Share of the word vectors' entries that is dropped."""
    loss_scale: Literal["token", "caption"] = "token"
    """Loss that is differentiated: the mean over the batch's tokens or over its captions."""
    choose_by: Literal["cider", "loss"] = "cider"
    """Criterion of validation: CIDEr of greedy captions, or the loss."""
    max_length: Count = 30
    """Largest number of words of a caption that is searched."""
    unknown: Literal["forbidden", "allowed"] = "forbidden"
    """Use of the symbol of unknown words in captions."""


class RankingOptions(Frozen, frozen=True, kw_only=True):
    """Options of the `ranking` objective."""

    similarity: Literal["global", "regions"] = "global"
    """global: cosine of image and sentence (R. Kiros, R. Salakhutdinov and R. Zemel, 2014);
    regions: the best region for each word, summed (A. Karpathy and L. Fei-Fei, 2015, equation 8),
    where features come by regions."""
    scaling: Scaling = "standard"
    """Scaling of features, as for captioners."""
    embedding_size: Size = 0
    """Size of the word vectors; 0: as many as the recurrence's hidden units."""
    joint_size: Size = 0
    """Dimensions of the space where images and sentences meet; 0: as many as hidden units."""
    margin: Positive = 0.2
    """Margin by which a true pair must be closer than a false one; the paper on words and regions
    takes 1."""
    negatives: Literal["all", "hardest"] = "all"
    """False pairs of the batch that count: the mean of all, or the closest alone (F. Faghri et al.,
    2018)."""
    dropout_image: Share = 0.0
    """Share of the features that is dropped."""
    dropout_words: Share = 0.0
    """Share of the word vectors' entries that is dropped."""
    batch_tokens: Count = 2000
    """Tokens of a batch, padding included."""
    choose_by: Literal["recall", "loss"] = "recall"
    """Criterion of validation: the mean of the six recalls, or the loss."""
