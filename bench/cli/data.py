"""`bench data`: find, verify and fetch a task's files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def data(
    task: str,
    *,
    path: Path | None = None,
    fetch: Annotated[bool, Parameter(negative=())] = False,
    segmentation: str | None = None,
    languages: str | None = None,
    features: str | None = None,
    units: Literal["characters", "words", "phones"] | None = None,
    resample: int | None = None,
    channels: Literal["mono", "mix"] = "mono",
    suite: Path = Path(),
) -> None:
    """Say where a task's files are and whether they are the right bytes.

    Nothing is downloaded unless `--fetch` says so.

        bench data ptb
        bench data ptb --fetch
        bench data parallel-text --path my-text --languages en-fr
        bench data flickr8k --features gist
        bench data speech --path my-recordings --units words --resample 16000

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    path
        Folder with a corpus of your own, for the tasks `text`, `parallel-text` and `speech`:
        counted, not verified; of other speech and captions the folder that holds the corpus.
    fetch
        Download what is missing from the card's mirrors, checked before it is kept, and the
        weights of the network that makes the features.
    segmentation
        Of translation: which of the card's segmentations is shown, the first unless you choose.
    languages
        Source and target of `parallel-text`, as its files' names end, such as en-fr.
    features
        Of captions: which features of the images are made and shown, the card's unless you
        choose: colour-histogram, hog, gist; vgg16-fc7, resnet50 (by torchvision); or your own.
    units
        Of `speech`: labels of the transcripts, characters unless you choose.
    resample
        Of `speech`: sample rate in Hz that every recording is brought to.
    channels
        Of `speech`: several channels are refused (mono), or their mean is read (mix).
    suite
        Folder with further `tasks/`.
    """
    from bench.core.config import DataConfig
    from bench.core.structs import to_struct
    from bench.core.suite import Suite
    from bench.data.corpora import check_data_options
    from bench.domains import domain_of, load_attribute

    card = Suite.at(suite).card(task)
    given = {
        "path": None if path is None else str(path),
        "segmentation": segmentation,
        "languages": languages,
        "features": features,
        "units": units,
        "resample": resample,
        "channels": channels,
    }
    chosen = to_struct(given, DataConfig, where="command line")
    check_data_options(card, chosen)
    inspect = load_attribute(domain_of(card.corpus).inspect)
    inspect(card, chosen, fetch=fetch, progress=_progress())


def _progress() -> Callable[[str, int, int | None], None]:
    """One line for each tenth of a file."""
    shown: dict[str, int] = {}

    def report(name: str, num_bytes: int, total_bytes: int | None) -> None:
        tenth = 10 * num_bytes // total_bytes if total_bytes else 0
        if shown.get(name) != tenth:
            shown[name] = tenth
            print(f"fetching {name}: {num_bytes / 1e6:.1f} MB", file=sys.stderr)

    return report
