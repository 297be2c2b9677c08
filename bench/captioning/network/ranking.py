"""Ranking network: images and sentences in one space, where a true pair is closer than a false one.

    global   S(i, s) = cos(W f_i, V y_s), y_s the recurrence's output at the end of the sentence
             R. Kiros, R. Salakhutdinov and R. Zemel, 2014
    regions  S(i, s) = sum_t max_r v_ir . s_t, v_ir = W f_ir + b, s_t = max(0, V y_t + d)
             A. Karpathy and L. Fei-Fei, 2015, equations 5 and 8

    C = sum_s mean_j max(0, S(j, s) - S(i_s, s) + margin) + mean_u max(0, S(i_s, u) - S(i_s, s)
        + margin)

over images j and sentences u that do not belong together; the papers have a sum instead of the
mean. A recurrence that reads both ways has the mean of its outputs for y_s.

Shapes: B or S sentences, I images, R regions, N regions of all images, D features, T words, H
output, J joint space, E embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.captioning.network.captioner import no_regions
from bench.captioning.network.options import RankingOptions, Scale
from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.models import build_recurrence
from bench.models.recurrence import masked, valid_steps
from bench.training.dropout import drop_quickly

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]
BLOCK = 256
"""Sentences that are compared with all images at once, where each word meets each region."""
DEPTHS = (1, 5, 10)


class RankingNetwork(nn.Module):
    """Ranking network: any recurrence over words, a linear map of features, their similarity."""

    def __init__(
        self,
        model: Mapping[str, Scalar],
        options: RankingOptions,
        *,
        feature_shape: tuple[int, ...],
        vocabulary_size: int,
    ) -> None:
        super().__init__()
        if options.similarity == "regions" and len(feature_shape) != 2:
            raise no_regions("objective.similarity regions")
        self.options = options
        hidden_size = int(model["hidden_size"] or 0)
        embedding_size = options.embedding_size or hidden_size
        joint_size = options.joint_size or hidden_size
        own = {key: value for key, value in model.items() if key != "name"}
        self.scale = Scale(options.scaling, feature_shape[-1])
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.recurrence = build_recurrence(str(model["name"]), embedding_size, own)
        self.image = nn.Linear(feature_shape[-1], joint_size)
        self.sentence = nn.Linear(self.recurrence.output_size, joint_size)

    def images(self, feature_ID: Tensor) -> Tensor:
        """Vectors [I, J] of length one, or of regions [I, R, J]."""
        feature_ID = self.scale(feature_ID)
        feature_ID = drop_quickly(feature_ID, self.options.dropout_image, self.training)
        if self.options.similarity == "regions":
            return torch.as_tensor(self.image(feature_ID))
        if feature_ID.dim() == 3:
            feature_ID = feature_ID.mean(1)
        return F.normalize(self.image(feature_ID), dim=-1)

    def sentences(self, caption_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Vectors of sentences with their ends [B, J], or of words [B, T, J], zero at padding."""
        x_BTE = self.embedding(caption_BT)
        x_BTE = drop_quickly(x_BTE, self.options.dropout_words, self.training)
        y_BTH, _ = self.recurrence(x_BTE, None, lengths_B)
        if self.options.similarity == "regions":
            valid_BT = valid_steps(lengths_B, caption_BT.shape[1], y_BTH)
            return masked(F.relu(self.sentence(y_BTH)), valid_BT)
        if self.recurrence.is_causal:
            y_BH = y_BTH[torch.arange(len(y_BTH), device=y_BTH.device), lengths_B - 1]
        else:
            y_BH = y_BTH.sum(1) / lengths_B[:, None]
        return F.normalize(self.sentence(y_BH), dim=-1)

    def similarity(self, sentence_B: Tensor, image_I: Tensor) -> Tensor:
        """S of every sentence and image [B, I], as `sentences` and `images` give them."""
        if self.options.similarity == "global":
            return (sentence_B @ image_I.t()).to(self.image.weight.dtype)
        region_NJ, scores = image_I.flatten(0, 1), []
        for word_BTJ in torch.split(sentence_B, BLOCK):
            product_BTN = word_BTJ @ region_NJ.t()
            best_BTI = product_BTN.view(*word_BTJ.shape[:2], *image_I.shape[:2]).amax(3)
            scores.append(best_BTI.sum(1))
        return torch.cat(scores).to(self.image.weight.dtype)

    def align(self, word_BTJ: Tensor, region_BRJ: Tensor) -> tuple[Tensor, Tensor]:
        """The best region of its own image for each word [B, T], and their product."""
        best = (word_BTJ @ region_BRJ.transpose(1, 2)).max(2)
        return best.indices, best.values

    def flops_per_word(self) -> int:
        """Forward floating-point operations a word, matrix products only."""
        each = self.sentence.weight.numel() if self.options.similarity == "regions" else 0
        return self.recurrence.flops_per_step() + 2 * each

    def flops_per_sentence(self, num_regions: int) -> int:
        """Forward floating-point operations for a sentence and its image, without comparisons."""
        each = 0 if self.options.similarity == "regions" else self.sentence.weight.numel()
        return 2 * each + 2 * num_regions * self.image.weight.numel()


def hinges(
    score_BI: Tensor,
    own_B: Tensor,
    false_BI: Tensor,
    *,
    margin: float,
    negatives: Literal["all", "hardest"],
) -> Tensor:
    """Loss [B] of each true pair's score `own_B` against the false pairs of its row."""
    cost_BI = (score_BI - own_B[:, None] + margin).clamp(min=0.0)
    if negatives == "hardest":
        worst_B = cost_BI.masked_fill(~false_BI, -math.inf).amax(1)
        return worst_B.where(false_BI.any(1), 0.0)
    return masked(cost_BI, false_BI).sum(1) / false_BI.sum(1).clamp(min=1)


def ranking_loss(
    score_SI: Tensor,
    column_S: Tensor,
    same_SI: Tensor,
    *,
    margin: float,
    negatives: Literal["all", "hardest"],
    own: slice = slice(None),
) -> Tensor:
    """Loss C [] summed over the sentences, or over those at `own` alone.

    `column_S` is the column of each sentence's image, `same_SI` marks the true pairs.
    """
    total = score_SI.new_zeros(())
    own_S = score_SI.gather(1, column_S[:, None])[:, 0]
    row_S = torch.arange(len(score_SI), device=score_SI.device)[own]
    for rows in torch.split(row_S, 4 * BLOCK):
        own_B, columns_B = own_S[rows], column_S[rows]
        for score, same in (
            (score_SI[rows], same_SI[rows]),
            (score_SI[:, columns_B].t(), same_SI[:, columns_B].t()),
        ):
            total = total + hinges(score, own_B, ~same, margin=margin, negatives=negatives).sum()
    return total


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranks:
    """Ranks of true pairs among all, counted from 1.

    R@k is the share of ranks up to k, in percent; of equal scores the right one comes last, so that
    nothing is found by chance. The protocol is that of M. Hodosh, P. Young and J. Hockenmaier
    (2013) as later papers have it.
    """

    annotation: Ids
    """Rank of the best of an image's sentences among all sentences [I]."""
    search: Ids
    """Rank of each sentence's image among all images [S]."""

    @property
    def values(self) -> dict[str, float]:
        """Name -> recall in percent, or rank."""
        found: dict[str, float] = {}
        for name, ranks in (("annotation", self.annotation), ("search", self.search)):
            for depth in DEPTHS:
                found[f"{name}-r@{depth}"] = 100.0 * float((ranks <= depth).mean())
            found[f"{name}-median-rank"] = float(np.floor(np.median(ranks)))
        return found

    @property
    def mean_recall(self) -> float:
        """Mean of the six recalls, in percent."""
        return float(np.mean([value for name, value in self.values.items() if "r@" in name]))

    def beside(self, scores: str) -> dict[str, float]:
        """Signature -> each recall and median rank."""
        suffix = _suffix(scores, len(self.annotation), len(self.search))
        return {f"{name}{suffix}": value for name, value in self.values.items()}

    @staticmethod
    def signature(scores: str, *, num_images: int, num_captions: int) -> str:
        """Signature of the mean recall; `scores` names the scores of pairs."""
        depths = ",".join(f"r@{depth}" for depth in DEPTHS)
        return f"recall|mean:{depths}|ways:both{_suffix(scores, num_images, num_captions)}"


def _suffix(scores: str, num_images: int, num_captions: int) -> str:
    return f"|images:{num_images}|captions:{num_captions}|scores:{scores}|ties:last"


def ranks(annotation_SI: Floats, image_of: Ids, *, search_SI: Floats | None = None) -> Ranks:
    """Ranks by the scores of sentences for an image, and of images for a sentence.

    `image_of` is the image of each sentence [S]. Raises BenchError for scores that are NaN.
    """
    search_SI = annotation_SI if search_SI is None else search_SI
    if np.isnan(annotation_SI).any() or np.isnan(search_SI).any():
        raise BenchError("scores are not numbers (NaN): the network has diverged, nothing is found")
    row_S = np.arange(len(image_of))
    own_S = search_SI[row_S, image_of]
    search_S = (search_SI >= own_S[:, None]).sum(1)
    num_images = annotation_SI.shape[1]
    is_own_SI = image_of[:, None] == np.arange(num_images)
    best_I = np.where(is_own_SI, annotation_SI, -np.inf).max(0)
    ahead_I = ((annotation_SI >= best_I) & ~is_own_SI).sum(0)
    return Ranks(annotation=ahead_I + 1, search=search_S)


def normalised(log_p_SI: Floats) -> Floats:
    """log p(s | i) - log mean_i p(s | i) [S, I], as J. Mao et al., m-RNN (2015), divide.

    Otherwise short and common sentences come first for every image.
    """
    highest_S1 = log_p_SI.max(1, keepdims=True)
    mean_S1 = np.exp(log_p_SI - highest_S1).mean(1, keepdims=True)
    return np.asarray(log_p_SI - highest_S1 - np.log(mean_S1))
