"""Which tests of the models this machine can run."""

from __future__ import annotations

from importlib.util import find_spec

# Triton is made for Linux; nothing else than its kernels needs it.
collect_ignore = [] if find_spec("triton") else ["test_triton_kernels.py"]
