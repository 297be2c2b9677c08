"""A domain that `bench` does not know: rows of bits, labelled by their parity.

corpus.py       the corpus, drawn from a seed, and its batches
objective.py    the parity's probability after the last bit, and its error rate
outputs.py      labels that a run gave; an evaluation that reads rows backwards; a baseline
"""

from bench.domains import Domain, Evaluation
from toy_domain.corpus import ParitySpec

DOMAIN = Domain(
    kind="parity",
    specs=(ParitySpec,),
    data_options=frozenset(),
    load="toy_domain.corpus:load",
    inspect="toy_domain.corpus:inspect",
    objectives={"parity": "toy_domain.objective:ParityObjective"},
    baselines={"always-even": "toy_domain.outputs:AlwaysEven"},
    evaluations={"backwards": Evaluation(run="toy_domain.outputs:evaluate_backwards")},
    outputs={"parity": "toy_domain.outputs:Labels"},
)
