"""Captioning: images to sentences, and ranking of sentences and images.

data/                     corpora: Flickr8k, COCO, the synthetic twin; image features, batches
network/                  captioner, ranking network, their options and searches
objectives/               captioning and ranking, for any recurrence
metrics/                  BLEU, ROUGE-L, CIDEr, copying
scoring.py                scores and copying of a split's captions
baselines/                nearest neighbours, random and human captions
evaluation.py             other searches, ensembles and retrieval by finished runs
outputs.py                captions that a run leaves, their samples and errors
contestants.py            contestants of `bench speed`; nearest_contestants.py: of the baseline
"""

from bench.captioning.data.specification import CaptionsSpec, SyntheticCaptionsSpec
from bench.domains import Domain, Evaluation

DOMAIN = Domain(
    kind="captions",
    specs=(CaptionsSpec, SyntheticCaptionsSpec),
    data_options=frozenset({"features", "download", "on_bad"}),
    load="bench.captioning.data.prepared:load",
    inspect="bench.captioning.data.prepared:inspect",
    unpinned="bench.captioning.data.prepared:unpinned",
    objectives={
        "captioning": "bench.captioning.objectives.captioning:CaptioningObjective",
        "ranking": "bench.captioning.objectives.ranking:RankingObjective",
    },
    baselines={
        "nearest": "bench.captioning.baselines.nearest:Nearest",
        "random-caption": "bench.captioning.baselines.reference_captions:RandomCaption",
        "human": "bench.captioning.baselines.reference_captions:Human",
    },
    evaluations={
        "caption": Evaluation(
            run="bench.captioning.evaluation:evaluate_captions",
            settings=("beam_size", "length_penalty", "alpha"),
        ),
        "retrieval": Evaluation(run="bench.captioning.evaluation:evaluate_retrieval"),
    },
    outputs={"captioning": "bench.captioning.outputs:Captions"},
    images="bench.captioning.data.prepared:open_images",
    contestants="bench.captioning.contestants:captioning_speed",
)
