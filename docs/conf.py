"""Sphinx configuration: Markdown by MyST, theme Furo, reference pages from the code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
TABLES = Path(__file__).parent / "results" / "tables"
"""Copies of results/*/table.md, made by each build."""

project = "bench"
copyright = "the bench authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "bench"
html_static_path: list[str] = []
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
exclude_patterns = ["_build"]
pygments_style = "tango"
pygments_dark_style = "monokai"


def copy_tables(app: Sphinx) -> None:
    """Copy the committed tables, so that the site has a page for each."""
    shutil.rmtree(TABLES, ignore_errors=True)
    TABLES.mkdir(parents=True)
    for table in sorted(ROOT.glob("results/*/table.md")):
        task = table.parent.name
        text = table.read_text(encoding="utf-8")
        (TABLES / f"{task}.md").write_text(f"---\norphan: true\n---\n\n{text}", encoding="utf-8")


def link_tables(app: Sphinx, name: str, source: list[str]) -> None:
    """Point links to results/TASK/table.md at the site's copies."""
    source[0] = re.sub(
        r"\((?:\.\./)+results/([\w-]+)/table\.md\)", r"(/results/tables/\1.md)", source[0]
    )


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", copy_tables)
    app.connect("source-read", link_tables)
