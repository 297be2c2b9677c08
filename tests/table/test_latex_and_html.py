"""Tables in LaTeX, with the bibliography, and in HTML."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace
from synthetic_records import make_card, make_published, make_record, make_records

from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.table import Layout, Table, build_table, render, task_table
from bench.table.embed import bibliography, bibtex_entries
from bench.table.rows import PairwiseTest

REFERENCES = shipped_folder() / "results" / "references.bib"
SHIPPED = Suite(folder=shipped_folder())


@pytest.fixture(scope="module")
def table() -> Table:
    """A row of each kind, with every character that TeX or HTML would take for its own."""
    published = [
        make_published(115, label=r"A & B, 50% of $1 #2 {x} a_b ~ ^ \ <unk> | † ≥"),
        make_published(120, label="LSTM", match={"model.name": "lstm"}, verified="memory"),
        make_published(130, label="SRN", match={"model.name": "srn"}, protocol="Other <words> & x"),
    ]
    records = [
        *make_records([114.0, 115.0, 117.0], bound=100.0),
        *make_records([110.0, 111.0], model={"name": "lstm"}, bound=100.0),
        make_record(120.0, model={"name": "gru"}, recipe="a long name " * 6, bound=100.0),
    ]
    made = build_table(make_card(), published, records)
    over_seeds = PairwiseTest(against="LSTM", over="seeds", p=0.01)
    marks = [over_seeds, None, replace(over_seeds, p=0.4), replace(over_seeds, over="units")]
    rows = [replace(row, tested=test) for row, test in zip(made.rows, marks, strict=False)]
    return replace(made, blocks=[[*rows, *made.rows[len(rows) :]]])


def test_significant_differences_are_marked_in_every_format(table: Table) -> None:
    text = render(table, "md")
    assert [text.count(mark) for mark in ("115.3 ± 1.5‡ |", "120.0§ |", "110.50 ± 0.71**")] == [
        1
    ] * 3
    assert "Differs from LSTM (p < 0.05 after Holm's correction for 3 rows): ‡ by a test" in text
    assert "; § by a paired bootstrap over test units." in text
    assert r"115.3 $\pm$ 1.5$^{\ddagger}$" in render(table, "latex")


def test_long_texts_wrap_inside_a_latex_column(table: Table) -> None:
    assert r"\begin{tabular}{p{.35\linewidth}rrr" in render(table, "latex")
    narrow = render(table, "latex", layout=Layout(columns=("measured", "cite")))
    assert r"\begin{tabular}{rl}" in narrow
    assert r" & \cite{mikolov2014longer} \\" in narrow


LATEX = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\bibliographystyle{plain}
\bibliography{cited}
\end{document}
"""


def compiled(folder: Path, tables: list[str], cited: str) -> str:
    """Output of TeX and BibTeX for a paper with these tables."""
    tex = shutil.which("pdflatex")
    if tex is None and not os.environ.get("CI"):
        pytest.skip("no pdflatex here: the LaTeX tables are compiled where TeX is installed")
    assert tex is not None, "CI has no TeX"
    (folder / "cited.bib").write_text(cited)
    (folder / "paper.tex").write_text(LATEX % "\n\\clearpage\n".join(tables))
    typeset = [tex, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    said = ""
    for call in (typeset, ["bibtex", "paper"], typeset, typeset):
        done = subprocess.run(call, cwd=folder, capture_output=True, check=False)
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, said[-2000:]
    return said


def test_latex_compiles(table: Table, tmp_path: Path) -> None:
    shipped = task_table(SHIPPED, "ptb")
    tables = [
        render(table, "latex", cost="shown", layout=Layout(group_by="model")),
        render(shipped, "latex", cost="shown"),
        render(task_table(SHIPPED, "flickr8k"), "latex"),
    ]
    cited = bibliography(SHIPPED, shipped)
    captions = bibliography(SHIPPED, task_table(SHIPPED, "flickr8k"))
    both = {*bibtex_entries(cited), *bibtex_entries(captions)}
    known = bibtex_entries(REFERENCES.read_text(encoding="utf-8"))
    said = compiled(tmp_path, tables, "\n\n".join(known[key] for key in sorted(both)))
    assert "undefined" not in re.sub(r"Font shape.*undefined", "", said)
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_the_bibliography_holds_exactly_the_cited_works() -> None:
    table = task_table(SHIPPED, "ptb")
    text = bibliography(SHIPPED, table)
    cited = sorted({row.cite for row in table.rows if row.cite})
    assert list(bibtex_entries(text)) == cited
    assert all(f"\\cite{{{key}}}" in render(table, "latex") for key in cited)


def test_bibtex_entries_are_verbatim() -> None:
    text = REFERENCES.read_text(encoding="utf-8")
    found = bibtex_entries(text)
    assert list(found) == re.findall(r"^@[a-z]+\{([^,]+),$", text, re.M)
    assert all(entry in text and entry.count("{") == entry.count("}") for entry in found.values())
    assert sum(map(len, found.values())) > 0.9 * len(text)


def test_an_unknown_citation_key_is_rejected(tmp_path: Path) -> None:
    table = build_table(
        make_card(), [replace(make_published(), cite="mikolov2014longr")], make_records([1.0, 2.0])
    )
    wanted = r"no 'mikolov2014longr'.*did you mean 'mikolov2014longer'"
    with pytest.raises(BenchError, match=wanted):
        bibliography(Suite(folder=tmp_path), table)


def test_a_working_folder_has_its_own_bibliography(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "references.bib").write_text("@misc{mine2026,\n  title = {{A} B},\n}\n")
    table = build_table(make_card(), [replace(make_published(), cite="mine2026")], [])
    assert bibliography(Suite(folder=tmp_path), table) == "@misc{mine2026,\n  title = {{A} B},\n}\n"


class Page(HTMLParser):
    """The cells of a page's tables, and whether every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data


def test_html_has_the_cells_of_the_text_and_fetches_nothing(table: Table) -> None:
    page = Page(render(table, "html"))
    text = render(table, "text").splitlines()
    first = page.cells[0]
    assert first == text[4].split("  ")[:1] + first[1:]
    assert [len(line) for line in page.cells] == [len(first)] * (1 + len(table.rows))
    assert [line[0] for line in page.cells[1:]] == [row.label for row in table.rows]
    assert page.cells[1][first.index("Measured")] == "115.3 ± 1.5‡"
    assert "<strong>110.50 ± 0.71</strong>" in render(table, "html")


def test_groups_are_bodies_of_an_html_table(table: Table) -> None:
    html = render(table, "html", layout=Layout(group_by="model"))
    names = [line[0] for line in Page(html).cells if len(line) == 1]
    assert names == ["scrn", "lstm", "srn", "gru", "others"]
    assert html.count("<tbody>") == len(names)
