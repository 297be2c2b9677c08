"""Screenshot of the report for the README: `python tests/report/take_screenshot.py`.

Of the committed records, in Chromium, with the typeface Inter where it is installed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from browsers import launch
from playwright.sync_api import sync_playwright

from bench.core.suite import Suite
from bench.report import build_report

ROOT = Path(__file__).parent.parent.parent
SIZE = {"width": 1280, "height": 860}
PATIENCE_MS = 300_000


def main() -> None:
    """Write the report, open a page of it, take the picture."""
    parser = argparse.ArgumentParser(description="Take the README's picture of the report.")
    parser.add_argument("--page", default="ptb")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "report.png")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        path = Path(name) / "report.html"
        path.write_text(build_report(Suite(folder=ROOT)), encoding="utf-8")
        browser = launch(playwright)
        page = browser.new_page(color_scheme=wanted.scheme, device_scale_factor=1.5)
        page.set_default_timeout(PATIENCE_MS)
        page.set_viewport_size({"width": SIZE["width"], "height": SIZE["height"]})
        page.goto(f"{path.as_uri()}#{wanted.page}")
        page.wait_for_timeout(3_000)
        page.screenshot(path=wanted.out)
        browser.close()


if __name__ == "__main__":
    main()
