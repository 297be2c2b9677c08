"""Special symbols, the first ids of every vocabulary of sentences. Imports nothing."""

from __future__ import annotations

SPECIAL = ("<unk>", "<s>", "</s>")
NUM_SPECIAL = len(SPECIAL)
UNKNOWN, START, END = range(NUM_SPECIAL)
