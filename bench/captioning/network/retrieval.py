"""How well sentences find their images and images their sentences.

    annotation   every sentence ranked for an image: the rank of the best of its own
    search       every image ranked for a sentence: the rank of its own

R@k is the share of ranks up to k, in percent; of equal scores the right one comes last, so that
nothing is found by chance. The protocol is that of M. Hodosh, P. Young and J. Hockenmaier (2013) as
later papers have it.

Shapes: S sentences, I images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]
DEPTHS = (1, 5, 10)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranks:
    """Counted from 1."""

    annotation: Ids
    """Of each image's best sentence [I]."""
    search: Ids
    """Of each sentence's image [S]."""

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
        """The mean of the six recalls, in percent."""
        return float(np.mean([value for name, value in self.values.items() if "r@" in name]))

    def beside(self, scores: str) -> dict[str, float]:
        """Signature -> each recall and median rank."""
        suffix = _suffix(scores, len(self.annotation), len(self.search))
        return {f"{name}{suffix}": value for name, value in self.values.items()}

    @staticmethod
    def signature(scores: str, *, num_images: int, num_captions: int) -> str:
        """What the mean recall is; `scores` says what pairs are ranked by."""
        depths = ",".join(f"r@{depth}" for depth in DEPTHS)
        return f"recall|mean:{depths}|ways:both{_suffix(scores, num_images, num_captions)}"


def _suffix(scores: str, num_images: int, num_captions: int) -> str:
    return f"|images:{num_images}|captions:{num_captions}|scores:{scores}|ties:last"


def ranks(annotation_SI: Floats, image_of: Ids, *, search_SI: Floats | None = None) -> Ranks:
    """Ranks by the scores of sentences for an image, and of images for a sentence.

    `image_of` is the image of each sentence [S]; one matrix may serve both ways. Raises BenchError
    for scores that are not numbers.
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
    """log p(s | i) - log mean_i p(s | i): how much more likely the image makes the sentence.

    Else short and common sentences come first for every image; J. Mao et al., m-RNN (2015), divide
    so by the mean over images.
    """
    highest_S1 = log_p_SI.max(1, keepdims=True)
    mean_S1 = np.exp(log_p_SI - highest_S1).mean(1, keepdims=True)
    return np.asarray(log_p_SI - highest_S1 - np.log(mean_S1))
