"""Report file: self-contained, small, with the numbers of `bench table`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from reported import NUM_RUNS, TASK, Rows, make_suite, markdown_tables

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.report import build_report, figures, page
from bench.report import page as script
from bench.report.content import format_number, gather, split_label
from bench.report.tables import base_verdict
from bench.table import Row, render, task_table

COMMITTED = Suite(folder=Path(__file__).parent.parent.parent)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="module")
def whole(suite: Suite) -> str:
    return build_report(suite, (TASK,))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without pictures, which are what takes time."""
    monkeypatch.setattr(figures, "draw", lambda _: "<svg></svg>")
    monkeypatch.setattr(page, "library", lambda: "")


def test_a_report_of_a_hundred_runs_is_small(whole: str) -> None:
    assert whole.count('class="page run"') == NUM_RUNS
    assert len(whole.encode()) < 3e6


def test_nothing_is_fetched(whole: str) -> None:
    markup = re.sub(r"<script.*?</script>", "", whole, flags=re.S)
    linked = re.findall(r'(?:src|href|action)="([^"#][^"]*)"', markup)
    assert {address.partition(":")[0] for address in linked} <= {"data"}
    assert "default-src 'none'" in whole
    assert "@import" not in whole
    assert "unsafe-eval" not in whole


def test_every_figure_is_described_and_drawn(whole: str) -> None:
    plots = re.findall(r'<div class="plot" role="img" aria-label="([^"]*)">(<svg)?', whole)
    assert len(plots) > NUM_RUNS
    assert all(len(words) > 20 for words, _ in plots)
    assert sum(svg == "<svg" for _, svg in plots) == len(plots) - NUM_RUNS


@pytest.mark.usefixtures("undrawn")
def test_the_same_records_give_the_same_bytes(suite: Suite) -> None:
    assert build_report(suite, (TASK,)) == build_report(suite, (TASK,))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("task", [content.task for content in gather(COMMITTED)])
def test_numbers_are_those_of_the_table(task: str) -> None:
    found = Rows(build_report(COMMITTED, (task,))).tables
    expected = markdown_tables(render(task_table(COMMITTED, task), "md"))
    assert len(found) == len(expected)
    for rows, lines in zip(found.values(), expected, strict=True):
        assert [row[1:] for row in rows] == [line[1:] for line in lines]
        for row, line in zip(rows, lines, strict=True):
            assert row[0].startswith(split_label(line[0])[0])


def test_a_report_needs_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from bench.core.suite import Suite;"
        "from bench.report import build_report, figures, page;"
        "figures.draw = lambda spec: ''; page.library = lambda: '';"
        "build_report(Suite(folder=Path.cwd()), ('an4', 'ptb', 'synthetic-text'));"
        "print('torch' in sys.modules, 'scipy.stats' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=COMMITTED.folder, capture_output=True, text=True
    )
    assert done.stdout == "False False\n", done.stderr


def test_a_missing_extra_is_named(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    figures.draw.cache_clear()
    script.library.cache_clear()
    with pytest.raises(BenchError, match=r"pip install 'sequence-bench\[report\]'"):
        build_report(suite, (TASK,))


def test_an_unknown_task_is_an_error(suite: Suite) -> None:
    with pytest.raises(BenchError, match="did you mean 'toy'"):
        build_report(suite, ("toi",))


@pytest.mark.usefixtures("undrawn")
def test_started_runs_are_shown(tmp_path: Path) -> None:
    suite = make_suite(tmp_path, num_runs=4)
    begun = suite.artifacts(TASK, "srn-new-s1")
    begun.mkdir(parents=True)
    (begun / "started").write_text("2026-01-01T00:00:00+00:00")
    assert "<code>srn-new-s1</code>" in build_report(suite, (TASK,))


@pytest.mark.usefixtures("undrawn")
def test_texts_of_records_are_escaped(tmp_path: Path) -> None:
    suite = make_suite(tmp_path, num_runs=2)
    path = suite.record_path(TASK, suite.records(TASK)[0].id)
    path.write_text(path.read_text().replace('"recipe": "default"', '"recipe": "<script>alert(1)"'))
    written = build_report(suite, (TASK,))
    assert "<script>alert(1)" not in written
    assert "&lt;script&gt;alert(1)" in written


@pytest.mark.parametrize(
    ("label", "name", "settings"),
    [
        ("SRN, 100 hidden", "SRN, 100 hidden", ""),
        ("SRN, 100 hidden; optim.lr=0.009822309693659732", "SRN, 100 hidden", "optim.lr=0.00982"),
        ("srn, hidden_size=100", "srn", "hidden_size=100"),
        ("mix, components=a+b; x=1", "mix", "components=a+b; x=1"),
        ("large (srn, hidden_size=900)", "large", "srn, hidden_size=900"),
        ("LSTM, 2 x 200, no dropout (small)", "LSTM, 2 x 200, no dropout (small)", ""),
        ("bound (the generator's own)", "bound (the generator's own)", ""),
    ],
)
def test_labels_are_split_before_the_settings(label: str, name: str, settings: str) -> None:
    assert split_label(label) == (name, settings)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2438100, "2,438,100"), (111.79094, "111.8"), (1.43212, "1.432"), (0.05, "0.05000"), (0, "0")],
)
def test_numbers_have_four_significant_digits(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("better (1 seed)", "better"),
        ("bleu-4: worse (2 seeds)", "worse"),
        ("not comparable", "not comparable"),
        ("no test", "not run"),
    ],
)
def test_the_base_verdict_has_no_score_and_no_seeds(verdict: str, kind: str) -> None:
    assert base_verdict(Row(label="", metric="", verdict=verdict, split="test")) == kind
