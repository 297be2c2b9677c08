"""Published rows of the tiny task: every kind of row that `bench reproduce` knows."""

from __future__ import annotations

from pathlib import Path

from tiny_task import CARD

ROWS = """\
rows:
  - {label: "SRN, 8 hidden", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: {model: srn, model.hidden_size: 8}}
  - {label: "SRN, wide", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: {model: srn, model.hidden_size: 12}, recipe: wide}
  - {label: "Bigram", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: {model: ngram, model.order: 2}}
  - {label: "SRN + bigram + cache", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: {model: mix, model.components: ngram+srn+unigram-cache,
     model.ngram.order: 2, model.srn.hidden_size: 8}}
  - {label: "SRN, dynamic evaluation", cite: null, where: here, metrics: {test: 30},
     protocol: adapts, verified: memory, match: {model: srn, model.hidden_size: 8,
     objective.evaluation: dynamic, objective.evaluation_segment_length: 20}}
  - {label: "Unheard of", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: null, why: The suite has no such model.}
  - {label: "Two of a kind", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: {model: mix, model.components: srn+srn}}
  - {label: "Of nothing", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: {model: mix}}
"""
BAD_ROW = """\
  - {label: "Streams without end", cite: null, where: here, metrics: {test: 30}, protocol: same,
     verified: memory, match: {model: gru, model.hidden_size: 4,
     objective.batch_size: 5000}}
"""
LONG_ROWS = "rows:\n" + "".join(
    f"""\
  - {{label: "{model}, long", cite: null, where: here, metrics: {{test: 30}}, protocol: same,
     verified: memory, match: {{model: {model}, model.hidden_size: 8,
     trainer.max_epochs: 12}}}}
"""
    for model in ("srn", "gru")
)
RECIPES = """\
  wide:
    model: {name: srn, nonlinearity: tanh}
"""


def make_suite_with(folder: Path, rows: str = ROWS) -> Path:
    """Write the tiny task with a named recipe and published rows; return the folder."""
    card = CARD.replace("    model: {hidden_size: 8}\n", "") + RECIPES  # counts have no such size
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    (folder / "tasks" / "tiny.yaml").write_text(card)
    results = folder / "results" / "tiny"
    results.mkdir(parents=True, exist_ok=True)
    (results / "published.yaml").write_text(rows)
    return folder
