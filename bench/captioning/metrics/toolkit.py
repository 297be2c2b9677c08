"""METEOR and SPICE, which are Java programs: by pycocoevalcap where it and Java are installed.

Denkowski and Lavie (2014) and Anderson et al. (2016). Nothing is downloaded: SPICE's language
models are used where `pycocoevalcap/spice/lib` has them already.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Tokens = Sequence[str]
_PACKAGE = "pycocoevalcap"
_SCORERS = {"meteor": ("meteor.meteor", "Meteor"), "spice": ("spice.spice", "Spice")}
_MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def toolkit_version() -> str:
    """`pycocoevalcap-1.2`."""
    try:
        return f"{_PACKAGE}-{version(_PACKAGE)}"
    except PackageNotFoundError:
        return f"{_PACKAGE}-unknown"


def available() -> list[str]:
    """Which of meteor and spice can be computed here."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations or shutil.which("java") is None:
        return []
    library = Path(spec.submodule_search_locations[0]) / "spice" / "lib"
    has_models = all((library / name).is_file() for name in _MODELS)
    return ["meteor", "spice"] if has_models else ["meteor"]


def toolkit_scores(
    hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> dict[str, float]:
    """Score -> value in percent, of those that can be computed; warns of one that fails."""
    given = {i: [" ".join(tokens) for tokens in captions] for i, captions in enumerate(references)}
    # An empty line would end the program's input.
    written = {i: [" ".join(tokens) or "."] for i, tokens in enumerate(hypotheses)}
    found = {}
    for name in available():
        module, scorer = _SCORERS[name]
        try:
            compute = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), scorer)()
            found[name] = 100 * float(compute.compute_score(given, written)[0])
        except Exception as error:  # whatever a program of another language may do
            warnings.warn(f"{name} is left out: {_PACKAGE} failed with {error!r}", stacklevel=2)
    return found
