"""BLEU of translations from counts of each sentence, and the metrics reported beside it.

BLEU (Papineni et al., 2002) is a function of counts that add up over sentences. Either of two texts
is scored, and the signature tells them apart. Detokenised: plain text, which sacreBLEU itself
tokenises as mteval-v13a did (Post, 2018). Tokenised: words of the task's protocol between blanks,
unsmoothed, as by the papers' multi-bleu.pl. sacreBLEU counts both.

Shapes: U sentences, X any leading dimensions; 10 statistics of a sentence: words of hypothesis and
reference, its n-grams of orders 1 to 4 that the reference has, all its n-grams of these orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError

if TYPE_CHECKING:
    from sacrebleu import BLEU
    from sacrebleu.metrics.base import Metric
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a


Floats: TypeAlias = NDArray[np.float64]
Text = Literal["detokenised", "tokenised"]
Case = Literal["mixed", "lower"]
ReplaceUnknown = Literal["never", "aligned"]
NUM_PAIRED_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class BleuProtocol:
    """Definition of BLEU for a task."""

    text: Text
    case: Case = "mixed"
    tokeniser: str | None = None
    """Name of the tokeniser of tokenised text; part of the signature."""
    unknown: ReplaceUnknown = "never"
    """Replacement of unknown words of the output by their aligned source words."""

    def __post_init__(self) -> None:
        if (self.tokeniser is None) != (self.text == "detokenised"):
            raise BenchError("tokenised BLEU names its tokeniser, detokenised BLEU has sacreBLEU's")
        if self.tokeniser and "|" in self.tokeniser:
            raise BenchError(f"{self.tokeniser!r} cannot be part of a signature: leave out '|'")

    @property
    def signature(self) -> str:
        """sacreBLEU's own signature, then the tokeniser and the replacement of unknown words."""
        metric = _bleu(self)
        metric.corpus_score(["a"], [["a"]])  # a signature counts the references of the last score
        parts = [f"bleu|{metric.get_signature()}"]
        if self.tokeniser:
            parts.append(f"words:{self.tokeniser}")
        if self.unknown != "never":
            parts.append(f"unknown:{self.unknown}")
        return "|".join(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class SentenceCounts:
    """N-gram counts of each sentence, `bench.runs.outputs.Units` whose sums give BLEU."""

    hypotheses: tuple[str, ...]
    references: tuple[str, ...]
    sums: Floats
    """[U, 10]"""
    protocol: BleuProtocol

    @property
    def noun(self) -> str:
        return f"{len(self.sums):,} sentences of {int(self.sums[:, 1].sum()):,} reference words"

    @property
    def method(self) -> str:
        return "n-gram counts and lengths are added over sentences and turned into BLEU"

    def metric(self, sums_X10: Floats) -> Floats:
        """BLEU in percent [X] of added statistics."""
        smoothing: Literal["exp", "none"] = "exp" if self.protocol.text == "detokenised" else "none"
        return bleu(sums_X10, smoothing=smoothing)

    @property
    def value(self) -> float:
        """BLEU of all sentences."""
        return float(self.metric(self.sums.sum(0)))

    def paired_test(self, other: SentenceCounts) -> tuple[float, str]:
        """p and details of sacreBLEU's paired bootstrap between two systems (Koehn, 2004).

        One-sided in form: how often a resampled difference, in absolute value and around the mean
        of these, exceeds the one observed. The seed is sacreBLEU's.
        """
        from sacrebleu.significance import PairedTest

        if self.references != other.references:
            raise BenchError("the runs were not scored against the same references")
        systems: list[tuple[str, Sequence[str]]] = [
            ("first", self.hypotheses),
            ("second", other.hypotheses),
        ]
        test = PairedTest(
            systems,
            {"BLEU": _bleu(self.protocol)},
            [self.references],
            test_type="bs",
            n_samples=NUM_PAIRED_RESAMPLES,
        )
        signatures, found = test()
        seed = signatures["BLEU"].info["seed"]
        p = getattr(found["BLEU"][1], "p_value", None)
        assert isinstance(p, float)
        return p, f"{NUM_PAIRED_RESAMPLES:,} resamples, seed {seed}"


def count_sentences(
    hypotheses: Sequence[str], references: Sequence[str], *, protocol: BleuProtocol
) -> SentenceCounts:
    """Count n-grams of each hypothesis and its reference; both texts as `protocol` says."""
    check_pairs(hypotheses, references)
    # The order is effective for single sentences only, and changes no count.
    metric = _bleu(protocol, order="effective")
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        found = metric.sentence_score(hypothesis, [reference])
        rows.append([found.sys_len, found.ref_len, *found.counts, *found.totals])
    return SentenceCounts(
        hypotheses=tuple(hypotheses),
        references=tuple(references),
        sums=np.array(rows, dtype=np.float64),
        protocol=protocol,
    )


def bleu(sums_X10: Floats, *, smoothing: Literal["exp", "none"]) -> Floats:
    """BLEU in percent [X] of added statistics.

    `exp`: the k-th order without any match counts half a match to the power of k (mteval-v13a);
    `none`: BLEU is 0 then. It is 0 without a match of any order, and without n-grams of an order.
    """
    matches_X4, totals_X4 = sums_X10[..., 2:6], sums_X10[..., 6:10]
    missed_X4 = (matches_X4 == 0) & (totals_X4 > 0)
    counted_X4 = matches_X4
    if smoothing == "exp":
        counted_X4 = np.where(missed_X4, 0.5 ** missed_X4.cumsum(-1), matches_X4)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision_X = np.log(counted_X4 / totals_X4).mean(-1)
        brevity_X = np.minimum(0.0, 1 - sums_X10[..., 1] / sums_X10[..., 0])
        value_X = 100 * np.exp(precision_X + brevity_X)
    defined_X = (matches_X4 > 0).any(-1) & (totals_X4 > 0).all(-1)
    return np.where(defined_X, value_X, 0.0)


def beside_bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, unknown: ReplaceUnknown = "never"
) -> dict[str, float]:
    """Signature -> value in percent of the metrics of plain text that every task reports.

    Cased detokenised BLEU, chrF2 (Popović, 2015) and TER (Snover et al., 2006; lower is better).
    """
    from sacrebleu import BLEU, CHRF, TER

    check_pairs(hypotheses, references)
    metrics: dict[str, Metric] = {"bleu": BLEU(force=True), "chrf2": CHRF(), "ter": TER()}
    suffix = "" if unknown == "never" else f"|unknown:{unknown}"
    found = {}
    for name, metric in metrics.items():
        value = float(metric.corpus_score(hypotheses, [references]).score)
        found[f"{name}|{metric.get_signature()}{suffix}"] = value
    return found


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raise BenchError unless there is one reference for each of one or more hypotheses."""
    if len(hypotheses) != len(references):
        raise BenchError(
            f"{len(hypotheses):,} translations and {len(references):,} references: give one "
            "reference a sentence"
        )
    if not hypotheses:
        raise BenchError("no sentence to score: BLEU has no meaning")


def _bleu(protocol: BleuProtocol, *, order: Literal["fixed", "effective"] = "fixed") -> BLEU:
    from sacrebleu import BLEU

    is_plain = protocol.text == "detokenised"
    return BLEU(
        lowercase=protocol.case == "lower",
        force=True,  # tokenised text is tokenised on purpose
        tokenize="13a" if is_plain else "none",
        smooth_method="exp" if is_plain else "none",
        effective_order=order == "effective",
    )


@cache
def _tokenizer() -> Tokenizer13a:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()  # type: ignore[no-untyped-call]


def words_13a(text: str) -> list[str]:
    """Words of plain text by mteval-v13a's tokenisation, in lower case.

    Lengths and frequencies count these, so that runs over words and over subwords can be drawn into
    one figure.
    """
    cut: str = _tokenizer()(text.rstrip())
    return cut.lower().split()


@dataclass(frozen=True, kw_only=True)
class WordFrequencies:
    """Frequencies of the words of a training text."""

    counts: dict[str, int]
    ranks: dict[str, int]
    """1 for the most frequent; equally frequent words by first occurrence."""

    @classmethod
    def count(cls, lines: Iterable[str]) -> WordFrequencies:
        """Count the words of a text."""
        counts = Counter[str]()
        for line in lines:
            counts.update(words_13a(line))
        ordered = sorted(counts, key=lambda word: -counts[word])
        return cls(counts=dict(counts), ranks={word: i for i, word in enumerate(ordered, start=1)})

    def mean_rank(self, text: str) -> float:
        """Mean rank of a sentence's words, 0 without words; an unseen word ranks after the last."""
        unseen = len(self.ranks) + 1
        ranks = [self.ranks.get(word, unseen) for word in words_13a(text)]
        return sum(ranks) / len(ranks) if ranks else 0.0

    def fewest(self, text: str) -> int:
        """Occurrences of a sentence's rarest word, 0 without words."""
        return min((self.counts.get(word, 0) for word in words_13a(text)), default=0)
