"""What `bench data` says of captions: what is bad, splits, words, features."""

from __future__ import annotations

from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.problems import THING
from bench.data.problems import settle
from bench.data.segmentation import UNKNOWN
from bench.translation.data.specification import NUM_SPECIAL

NUM_LISTED = 50


def report(corpus: CaptionCorpus, *, task: str, checked: str) -> None:
    """Print every problem, then what there is; BenchError, at the end, for bad captions."""
    told = [*corpus.skipped, *corpus.problems]
    for problem in told[:NUM_LISTED]:
        print(problem)
    if len(told) > NUM_LISTED:
        print(f"and {len(told) - NUM_LISTED:,} more")
    for name, split in corpus.splits.items():
        counts_V = split.rows.counts(len(corpus.vocabulary))
        unknown = 100 * counts_V[UNKNOWN] / counts_V.sum()
        print(
            f"{name}: {len(split):,} images, {split.num_captions:,} captions, "
            f"{int(counts_V.sum()):,} words, {unknown:.2f}% unknown"
        )
    store = corpus.features
    shape = " x ".join(str(size) for size in store.array.shape[1:])
    print(f"features {store.name}: {len(store):,} images, {shape} numbers each: {store.what}")
    for name, bound in (corpus.bound or {}).items():
        print(f"{name}: no captioner has a CIDEr above {bound:.1f}%")
    print(f"{task}: {checked}; {len(corpus.vocabulary) - NUM_SPECIAL:,} words")
    settle(corpus.skipped, "refuse", task=task, thing=THING)
