"""Writes the pages of docs/reference/ and the list of results from the code and the cards.

    python docs/generate.py

A test holds the committed pages against what this writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.cli import app
from bench.core.config import DataConfig, OptimConfig, RunConfig, TrainerConfig
from bench.core.record import Cost, Divergence, Point, Provenance, Record
from bench.core.settings import Setting, describe_settings
from bench.core.structs import Frozen, options_struct
from bench.core.suite import Suite
from bench.domains import all_domains, load_attribute, objective_class
from bench.launch.ray_cluster import RayOptions
from bench.launch.slurm import SlurmOptions
from bench.models import MODELS, model_class, model_options
from bench.tracking.options import TrackOptions

ROOT = Path(__file__).parent.parent
WRITTEN = "Written by `python docs/generate.py`; edits here are lost.\n\n"


def pages() -> dict[str, str]:
    """Path below docs/ -> text."""
    return {
        "reference/commands.md": commands(),
        "reference/settings.md": settings(),
        "reference/record.md": records(),
        "results/index.md": results(),
    }


def commands() -> str:
    text = app.generate_docs(output_format="markdown", recursive=True, usage_name="bench")
    verbs = text[text.index("## bench run") :]
    lines = [line.rstrip() for line in (WRITTEN + verbs).splitlines()]
    return "# Commands\n\n" + "\n".join(lines).replace("<name>", "NAME") + "\n"


def settings() -> str:
    parts = ["# Settings\n\n" + WRITTEN]
    parts.append(
        "On the command line a setting is `--optim.lr 0.5`, in a file `optim: {lr: 0.5}`. "
        "`bench run --task TASK --model MODEL --help` lists those of one task and model, with the "
        "values of its recipe.\n\n"
    )
    for prefix, title, struct in (
        ("optim", "Optimiser", OptimConfig),
        ("trainer", "Training and devices", TrainerConfig),
        ("data", "Corpus", DataConfig),
        ("track", "Tracking", TrackOptions),
        ("launcher", "Launcher slurm", SlurmOptions),
        ("launcher", "Launcher ray", RayOptions),
    ):
        parts.append(section(f"## {title}", prefix, describe_settings(struct)))
    parts.append("## Models\n\n")
    for name in MODELS:
        found = describe_settings(model_options(name), model_class(name))
        parts.append(section(f"### {name}", "model", found))
    parts.append("## Baselines\n\n")
    for domain in all_domains():
        for name, target in domain.baselines.items():
            baseline = load_attribute(target)
            found = describe_settings(options_struct(baseline, Frozen), baseline)
            if found:
                parts.append(section(f"### {name}", "model", found))
    parts.append("## Objectives\n\n")
    for domain in all_domains():
        for name in domain.objectives:
            options = objective_class(domain.kind, name).Options
            parts.append(section(f"### {name}", "objective", describe_settings(options)))
    return "".join(parts).rstrip() + "\n"


def section(heading: str, prefix: str, found: Iterable[Setting]) -> str:
    rows = [
        (f"`{prefix}.{each.name}`", f"`{each.type_text}`", code(each.default_text), each.meaning)
        for each in found
    ]
    return f"{heading}\n\n{table(('setting', 'type', 'default', 'meaning'), rows)}\n"


def records() -> str:
    parts = [
        "# Record\n\n" + WRITTEN,
        "The JSON file that a run leaves in `results/TASK/runs/`. Fields are added in later "
        "versions, never renamed; a field that a record lacks has its default.\n\n",
    ]
    for struct in (Record, Point, Divergence, Cost, Provenance, RunConfig):
        rows = [
            (f"`{each.name}`", f"`{name_of(each.annotation)}`", each.meaning)
            for each in describe_settings(struct)
        ]
        title = struct.__name__
        parts.append(f"## {title}\n\n{table(('field', 'type', 'meaning'), rows)}\n")
    return "".join(parts).rstrip() + "\n"


def name_of(annotation: object) -> str:
    text = str(annotation) if not isinstance(annotation, type) else annotation.__name__
    return msgspec_names(text) if "[" in text or "." in text else text


def msgspec_names(text: str) -> str:
    for word in ("typing.", "bench.core.record.", "bench.core.config."):
        text = text.replace(word, "")
    return text


def results() -> str:
    rows = [
        (f"`{path.parent.name}`", Suite(folder=ROOT).card(path.parent.name).title, link(path))
        for path in sorted(ROOT.glob("results/*/table.md"))
    ]
    return (
        "# Results\n\n" + WRITTEN + "Published rows beside measured ones, from the committed "
        "records.\n\n" + table(("task", "corpus", "table"), rows)
    )


def link(path: Path) -> str:
    return f"[table](../../{path.relative_to(ROOT)})"


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        f"| {' | '.join(c.replace('|', chr(92) + '|') for c in line)} |\n" for line in lines
    )


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
        print(f"docs/{name}")
