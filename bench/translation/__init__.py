"""Translation: encoder, attention and decoder around any recurrence.

data/           parallel corpora: specification, pairs, subwords, batches, the synthetic twin
network.py      encoder and decoder
objective.py    training on pairs, validation by greedy search
scoring.py      BLEU, chrF and TER of a split while it is evaluated
metrics.py      sentence counts of BLEU
translator.py   finished runs as translators; translate.py, rescoring.py: on lines of text
evaluation.py   other searches and ensembles of finished runs
outputs.py      translations that a run leaves
contestants.py  contestants of `bench speed`
"""

from bench.domains import Domain, Evaluation
from bench.translation.data.specification import ParallelSpec, SyntheticTranslationSpec

DOMAIN = Domain(
    kind="translation",
    specs=(ParallelSpec, SyntheticTranslationSpec),
    data_options=frozenset({"segmentation", "languages", "download", "on_bad"}),
    load="bench.translation.data.prepared:load",
    inspect="bench.translation.data.prepared:inspect",
    unpinned="bench.translation.data.listing:unpinned",
    objectives={"translation": "bench.translation.objective:TranslationObjective"},
    evaluations={
        "translate": Evaluation(
            run="bench.translation.evaluation:evaluate",
            settings=("beam_size", "length_penalty", "alpha", "replace_unknown"),
        )
    },
    outputs={"translation": "bench.translation.outputs:Translations"},
    contestants="bench.translation.contestants:translation_speed",
)
