"""Generated parallel text: no sentence stands twice, and a perfect system scores BLEU 100."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.core.errors import BenchError
from bench.data.lines import Lines
from bench.translation.data.assembly import Assembly
from bench.translation.data.corpus import ParallelCorpus, Splits
from bench.translation.data.grammar import Grammar, draws, make_grammar
from bench.translation.data.pairs import Pairs
from bench.translation.data.specification import (
    PARTS,
    Segments,
    SyntheticTranslationSpec,
    TokenisationSpec,
)
from bench.translation.metrics.translation import BleuProtocol

TRIES_EACH = 20
"""Sentences that are drawn for each new one, on the whole, before a grammar counts as too small."""


def draw(
    spec: SyntheticTranslationSpec, *, name: str, segments: Segments, cache: Path
) -> ParallelCorpus:
    """The corpus of a card, the same wherever it is drawn; `segments` go by `name` there."""
    grammar = make_grammar(spec)
    pairs = draw_pairs(grammar)
    assembly = Assembly(TokenisationSpec(words="blanks"), ("src", "tgt"), segments, cache=cache)
    assembly.learn([pairs["train"]], known=(grammar.source_words(), grammar.target_words()))
    return ParallelCorpus(
        source=assembly.source,
        target=assembly.target,
        splits=Splits({split: assembly.split([part]) for split, part in pairs.items()}, {}),
        checksums={
            f"{split} {side}": getattr(part, side).sha256()
            for split, part in pairs.items()
            for side in ("source", "target")
        }
        | assembly.checksums(),
        bleu=BleuProtocol(text="tokenised", tokeniser="blanks"),
        segmentation=name,
        bound=dict.fromkeys(("valid", "test"), 100.0),
    )


def draw_pairs(grammar: Grammar) -> dict[str, Pairs]:
    """Sentences and translations by split; test is drawn first, and training without both others'.

    Raises BenchError for a grammar that has too few sentences.
    """
    spec = grammar.spec
    sizes = dict(zip(PARTS, (spec.num_train, spec.num_valid, spec.num_test), strict=True))
    seen: set[str] = set()
    found = {}
    for split in reversed(PARTS):
        stream = np.random.PCG64(spec.seed).jumped(1 + PARTS.index(split))
        number = draws(stream).__next__
        sources: list[str] = []
        targets: list[str] = []
        for _ in range(TRIES_EACH * sizes[split]):
            sentence = grammar.sentence(number)
            source = " ".join(grammar.source(sentence))
            if source not in seen:
                seen.add(source)
                sources.append(source)
                targets.append(" ".join(grammar.target(sentence)))
            if len(sources) == sizes[split]:
                break
        else:
            raise BenchError(
                f"the grammar has too few different sentences for {sizes[split]:,} in {split}: "
                "raise num_nouns or lower num_train"
            )
        found[split] = Pairs(source=Lines.of(sources), target=Lines.of(targets))
    return {split: found[split] for split in PARTS}
