"""What captions are worth: the caption toolkit's scores, and how much of them is copied."""

from bench.metrics.captioning.scorer import CaptionScorer, score_captions
from bench.metrics.captioning.scores import METRICS, CaptionScores, join, pool

__all__ = ["METRICS", "CaptionScorer", "CaptionScores", "join", "pool", "score_captions"]
