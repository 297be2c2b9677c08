"""What captions are worth: the caption toolkit's scores, and how much of them is copied."""

from bench.captioning.metrics.scores import (
    METRICS,
    CaptionScorer,
    CaptionScores,
    join,
    pool,
    score_captions,
)

__all__ = ["METRICS", "CaptionScorer", "CaptionScores", "join", "pool", "score_captions"]
