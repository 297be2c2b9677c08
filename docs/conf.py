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


LINK = re.compile(r"\((?:\.\./)+results/([\w-]+)/(table|sweeps/[\w-]+)\.md\)")


def copy_tables(_: Sphinx) -> None:
    """Copy the committed tables and the sweeps' pages, so that the site has a page for each."""
    shutil.rmtree(TABLES, ignore_errors=True)
    for page in sorted((*ROOT.glob("results/*/table.md"), *ROOT.glob("results/*/sweeps/*"))):
        copy = TABLES / page.relative_to(ROOT / "results")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            text = page.read_text(encoding="utf-8")
            copy.write_text(f"---\norphan: true\n---\n\n{text}", encoding="utf-8")
        elif page.suffix == ".png":
            shutil.copyfile(page, copy)


def link_tables(_: Sphinx, __: str, source: list[str]) -> None:
    """Point links to the pages of results/ at the site's copies."""
    source[0] = LINK.sub(r"(/results/tables/\1/\2.md)", source[0])


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", copy_tables)
    app.connect("source-read", link_tables)
