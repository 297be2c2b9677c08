"""Frames: prediction of the frames that follow those given.

data/           moving digits and shapes: specification, motion, corpus, batches
network.py      encoder and forecaster around any recurrence
objective.py    frame prediction
baselines.py    persistence and the mean frame
outputs.py      predicted frames that a run leaves
contestants.py  contestants of `bench speed`
"""

from bench.domains import Domain
from bench.frames.data.specification import MovingDigitsSpec, SyntheticFramesSpec

DOMAIN = Domain(
    kind="frames",
    specs=(MovingDigitsSpec, SyntheticFramesSpec),
    data_options=frozenset({"download"}),
    load="bench.frames.data.prepared:load",
    inspect="bench.frames.data.prepared:inspect",
    objectives={"frame-prediction": "bench.frames.objective:FramePrediction"},
    baselines={
        "persistence": "bench.frames.baselines:Persistence",
        "mean-frame": "bench.frames.baselines:MeanFrame",
    },
    outputs={"frame-prediction": "bench.frames.outputs:PredictedFrames"},
    contestants="bench.frames.contestants:frames_speed",
)
