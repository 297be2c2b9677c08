"""Random-forest language model: many randomised trees over the history, averaged.

Shapes: N tokens. Xu & Jelinek (2004), "Random forests in language modeling".

Tree m sorts histories (w_{t-2}, w_{t-1}) into leaves Phi_m by random questions (tree.py). With C
the counts of a leaf and D its discounts,

    p_m(w | h) = max(C(w, Phi) - D, 0) / C(Phi) + (freed mass) p_KN(w | w_{t-1})
    p(w | h)   = 1/M sum_m p_m(w | h).

Trees are grown on the training text and pruned on the validation text, as in the paper, so the
validation perplexity is too good and only test is fair. What differs from the paper:

- orders above 3 rest on the forest as modified Kneser-Ney rests on its trigram, and C counts
  distinct left words as lower orders do; order 3 is the paper's trigram and counts tokens.
- one position is drawn for a node, where the paper draws a subset and takes the better split.
- a word that a node never saw is sent to its larger child at less weight, where the paper
  leaves the tree for the lower order.

Contexts do not cross the ends of sentences.
"""

from __future__ import annotations

import numpy as np

from bench.core.errors import BenchError
from bench.text.baselines.base import Floats, Ints, TextBaseline, check_tokens
from bench.text.baselines.counts import Trie
from bench.text.baselines.mix import perplexity
from bench.text.baselines.ngram import BackOff, adjusted_counts, interpolate, kneser_ney
from bench.text.baselines.tree import Events, Leaves, Nodes, grow_tree
from bench.training.baseline import Report

_REPORT_EVERY = 10


class Forest(TextBaseline):
    """A random forest over trigram histories under a Kneser-Ney model of `order`.

    Parameters
    ----------
    order
        Longest n-gram of the Kneser-Ney model underneath.
    num_trees
        Randomised trees that are averaged.
    seed
        Seed of the trees.
    """

    def __init__(self, *, order: int = 5, num_trees: int = 50, seed: int = 0) -> None:
        if not 3 <= order <= 7:
            raise BenchError(f"order {order} of a random-forest model: choose 3 to 7")
        if num_trees < 1:
            raise BenchError(f"num_trees {num_trees}: a forest has one tree or more")
        self.order = order
        self.num_trees = num_trees
        self.seed = seed
        self._fitted: tuple[Trie, BackOff] | None = None
        self._trees: list[tuple[Nodes, Leaves]] = []

    def fit(
        self,
        tokens: Ints,
        *,
        valid: Ints,
        vocabulary_size: int,
        end_of_sentence: int | None,
        report: Report | None = None,
    ) -> None:
        trie = Trie.count(
            check_tokens(tokens, vocabulary_size),
            order=self.order,
            vocabulary_size=vocabulary_size,
            end_of_sentence=end_of_sentence,
            contexts="within-sentences",
        )
        if len(trie.orders) < 3:
            raise BenchError("a random-forest model needs a training line of two words or more")
        self._fitted = trie, kneser_ney(trie, num_discounts=3, report=report)
        self._trees = []
        train, held_out = training_events(trie), self._events(valid)
        base, p_valid = vocabulary_size + 1, np.zeros(len(valid))
        for number in range(1, self.num_trees + 1):
            rng = np.random.default_rng([self.seed, number])
            nodes = grow_tree(train, held_out, base=base, rng=rng)
            leaf, _ = nodes.leaves(train)
            leaves = Leaves.count(leaf, train, num_nodes=len(nodes.position), base=base)
            self._trees.append((nodes, leaves))
            p_valid += leaves.probability(*nodes.leaves(held_out), held_out)
            if report is not None and number % _REPORT_EVERY == 0:
                now = perplexity(self._above(valid, p_valid / number))
                report(f"forest: {number} trees, valid {now:.2f} (they were pruned on it)")

    def log_probs(self, tokens: Ints) -> Floats:
        trie, _ = self._ready()
        tokens = check_tokens(tokens, trie.vocabulary_size)
        events = self._events(tokens)
        p_N = np.zeros(len(tokens))
        for nodes, leaves in self._trees:
            p_N += leaves.probability(*nodes.leaves(events), events)
        return self._above(tokens, p_N / len(self._trees))

    @property
    def num_parameters(self) -> int:
        """Answers of all questions, probabilities in all leaves, and the n-gram tables."""
        _, tables = self._ready()
        orders = sum(len(p) for k, p in enumerate(tables.probability, start=1) if k != 3)
        return 2 * orders + sum(len(nodes.key) + len(leaves.key) for nodes, leaves in self._trees)

    def _events(self, tokens: Ints) -> Events:
        """The histories of a text, with p_KN(w | w_{t-1})."""
        trie, tables = self._ready()
        nothing = trie.vocabulary_size
        start = nothing if trie.end_of_sentence is None else trie.end_of_sentence
        newer = np.concatenate([[start], tokens[:-1]])
        older = np.concatenate([[nothing, start], tokens[:-2]])[: len(tokens)]
        older[newer == trie.end_of_sentence] = nothing
        uniform = np.full(len(tokens), 1 / trie.vocabulary_size)
        lower = interpolate(trie, tables, tokens, uniform, orders=range(1, 3))
        ones = np.ones(len(tokens), dtype=np.int64)
        return Events(older=older, newer=newer, word=tokens, count=ones, lower=lower)

    def _above(self, tokens: Ints, forest_N: Floats) -> Floats:
        """Log-probabilities after the orders above 3, whose lower order is the forest."""
        trie, tables = self._ready()
        higher = range(4, len(trie.orders) + 1)
        return np.log(interpolate(trie, tables, tokens, forest_N, orders=higher))

    def _ready(self) -> tuple[Trie, BackOff]:
        if self._fitted is None:
            raise BenchError("this random-forest model has not been fitted: call fit() first")
        return self._fitted


def training_events(trie: Trie) -> Events:
    """The distinct trigrams of a trie with their Kneser-Ney counts, starts of sentences too.

    A sentence's first word has the history (nothing, start), with `vocabulary_size` for nothing.
    """
    spelled, counts = trie.spell(3), adjusted_counts(trie, 3)
    if trie.end_of_sentence is not None:
        first = np.flatnonzero(trie.orders[1].context == trie.end_of_sentence)
        starts = trie.spell(2)[first]
        nothing = np.full(len(first), trie.vocabulary_size)
        spelled = np.concatenate([spelled, np.column_stack([nothing, starts])])
        counts = np.concatenate([counts, trie.orders[1].count[first]])
    older, newer, word = np.ascontiguousarray(spelled.T)
    return Events(older=older, newer=newer, word=word, count=counts, lower=np.ones(len(word)))
