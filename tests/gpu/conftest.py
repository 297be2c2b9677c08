"""Where torch sees no GPU nothing of this folder is collected, so nothing of it is skipped."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

# Cases and files of tests that are shared with the CPU's.
sys.path.append(str(Path(__file__).parent.parent / "models"))

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
