"""`bench report`: published beside measured, curves, costs, sweeps and samples as one HTML file."""

from __future__ import annotations

from bench.report.page import build_report

__all__ = ["build_report"]
