"""Corpora of any kind, loaded by the domain that a card belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.problems import Style
from bench.data.sources import DownloadProgress
from bench.domains import domain_of, load_attribute


class Corpus(Protocol):
    """Facts that a record keeps of any corpus; its domain's objectives know the rest."""

    @property
    def checksums(self) -> Mapping[str, str]:
        """sha256 of the files or arrays read, by name."""


def distinctions(corpus: Corpus) -> Mapping[str, str]:
    """Facts of a user's own data that numbers depend on, such as the size of the vocabulary.

    They become part of signatures: numbers that differ in one of them share no column.
    """
    found: Mapping[str, str] = getattr(corpus, "distinctions", {})
    return found


def load_corpus(
    card: Card,
    data: DataConfig | None = None,
    *,
    style: Style = "quiet",
    progress: DownloadProgress | None = None,
) -> Corpus:
    """Find, check and read the corpus of a task, or generate it.

    `style` shows the preparation of features and words, `progress` a download. Raises BenchError
    for settings that this kind of corpus does not read, and as the domain's `load` does.
    """
    data = data or DataConfig()
    check_data_options(card, data)
    load = load_attribute(domain_of(card.corpus).load)
    corpus: Corpus = load(card, data, style=style, progress=progress)
    return corpus


def check_data_options(card: Card, data: DataConfig) -> None:
    """Refuse settings that this kind of corpus does not read."""
    domain = domain_of(card.corpus)
    for field in msgspec.structs.fields(DataConfig):
        known = field.name == "path" or field.name in domain.data_options
        if not known and getattr(data, field.name) != field.default:
            name = field.name.replace("_", "-")
            raise BenchError(
                f"{card.task} is {domain.kind}, which knows no {name}: leave out --data.{name}"
            )
