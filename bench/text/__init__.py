"""Text: language modelling over words and characters.

data/           corpora: specification, reading, numbering, streams, the synthetic twin
objective.py    language modelling by truncated back-propagation, for any causal recurrence
baselines/      n-grams, caches, maximum entropy, random forests
mixture.py      interpolation of finished models
evaluation.py   dynamic evaluation and the neural cache
diagnosis.py    gradients and contexts of finished networks
outputs.py      log-probabilities and sampled texts that a run leaves
contestants.py  contestants of `bench speed`
"""

from bench.domains import Domain, Evaluation
from bench.text.data.specification import SyntheticTextSpec, TextSpec

_SETTINGS = ("tune", "lr", "segment_length", "theta", "window", "share")

DOMAIN = Domain(
    kind="text",
    specs=(TextSpec, SyntheticTextSpec),
    data_options=frozenset({"minimum_count", "download"}),
    load="bench.text.data.prepared:load",
    inspect="bench.text.data.prepared:inspect",
    unpinned="bench.text.data.prepared:unpinned",
    objectives={"language-model": "bench.text.objective:LanguageModel"},
    baselines={
        "ngram": "bench.text.baselines.ngram:NGram",
        "cache": "bench.text.baselines.cache:Cache",
        "maxent": "bench.text.baselines.maxent:MaxEnt",
        "forest": "bench.text.baselines.forest:Forest",
    },
    evaluations={
        "dynamic": Evaluation(run="bench.text.evaluation:evaluate_dynamic", settings=_SETTINGS),
        "neural-cache": Evaluation(run="bench.text.evaluation:evaluate_cache", settings=_SETTINGS),
    },
    outputs={"language-model": "bench.text.outputs:TextOutputs"},
    contestants="bench.text.contestants:text_speed",
)
