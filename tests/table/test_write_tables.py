from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
from synthetic_records import make_card, make_records

from bench.core.record import write_record
from bench.core.suite import Suite
from bench.table import task_table, write_table


def make_suite(folder: Path) -> Suite:
    card = msgspec.to_builtins(make_card())
    (folder / "tasks").mkdir()
    (folder / "tasks" / "toy.yaml").write_bytes(msgspec.yaml.encode(card))
    published = {
        "rows": [
            {
                "label": "SCRN",
                "cite": None,
                "where": "somewhere",
                "metrics": {"test": 115},
                "protocol": "same",
                "verified": "paper",
                "match": {"model": "scrn"},
            }
        ]
    }
    (folder / "results" / "toy" / "runs").mkdir(parents=True)
    (folder / "results" / "toy" / "published.yaml").write_bytes(msgspec.yaml.encode(published))
    for record in make_records([114.0, 115.0, 117.0]):
        write_record(record, folder / "results" / "toy" / "runs")
    return Suite(folder=folder)


def test_the_table_of_a_folder_is_written_from_its_files(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    path = write_table(suite, "toy")
    assert path == tmp_path / "results" / "toy" / "table.md"
    text = path.read_text()
    assert text.startswith("# Toy text\n")
    assert "| SCRN  |       115 | 115.3 ± 1.5 |   3 |       +0.3 | reproduced |" in text
    before = path.read_bytes()
    write_table(suite, "toy")
    assert path.read_bytes() == before


def test_every_shipped_task_has_a_table(tmp_path: Path) -> None:
    suite = Suite(folder=tmp_path)
    for task in suite.card_paths():
        task_table(suite, task)


def test_tables_need_no_torch_and_their_import_no_numpy() -> None:
    code = (
        "import sys, bench.table, bench.core.published; from pathlib import Path;"
        "print([m for m in ('torch', 'numpy', 'scipy', 'pytorch_lightning') if m in sys.modules]);"
        "from bench.core.suite import Suite; from bench.table import render, task_table;"
        "render(task_table(Suite(folder=Path('.')), 'ptb'), 'text');"
        "print([m for m in ('torch', 'scipy.stats', 'pytorch_lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
