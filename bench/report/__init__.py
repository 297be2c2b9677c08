"""Report of tables, curves, costs, sweeps, samples and runs as one HTML file."""

from __future__ import annotations

from bench.report.page import build_report

__all__ = ["build_report"]
