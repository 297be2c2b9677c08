"""What captions are worth: the caption toolkit's scores, and how much of them is copied."""

from bench.captioning.metrics.scorer import CaptionScorer, score_captions
from bench.captioning.metrics.scores import METRICS, CaptionScores, join, pool

__all__ = ["METRICS", "CaptionScorer", "CaptionScores", "join", "pool", "score_captions"]
