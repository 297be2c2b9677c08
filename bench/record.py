"""What a run leaves: one small JSON file, written once, atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.errors import BenchError

Shelf = Literal["runs", "trials"]
"""Runs are measured on test, once; a sweep's trials are not. Tables read runs only."""


class Point(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One validation on the learning curve."""

    epoch: int
    step: int
    train: float | None
    """Metric on the training data of this epoch, dropout on; None where it is not a function of the
    loss and would take a decoding."""
    valid: float
    lr: float
    loss_train: float | None = None
    """Mean loss in nats, where the metric does not tell it."""
    loss_valid: float | None = None


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where the loss left the numbers."""

    epoch: int
    step: int
    gradient_norm: float
    """Total norm at the last finite step before it."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What the run took. A figure that could not be read is absent, never guessed."""

    num_parameters: int
    flops_per_token: int | None = None
    """Forward and backward, matrix products only, by formula."""
    flops: int | None = None
    """The same over all training, as far as it went."""
    unit: Literal["token", "frame", "label"] = "token"
    """What these figures call a token."""
    seconds: float
    """Training and validation, all sittings of a resumed run together."""
    tokens_per_sec: float | None = None
    """Training tokens over training seconds."""
    peak_memory_bytes: int | None = None


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Code, packages and machine that made the number."""

    commit: str | None
    dirty: bool | None
    packages: dict[str, str]
    python: str
    platform: str
    hardware: dict[str, str | int]
    products: str = "float32"
    """Precision of the matrix products that was in effect."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration and seed, carried out."""

    schema: int = 1
    id: str
    task: str
    card_version: int
    seed: int
    status: Literal["finished", "diverged", "pruned"]
    """pruned: a trial that its sweep ended early."""
    metric: str
    signature: str
    """What exactly the number is: unit, text, protocol. Two signatures never share a column."""
    metrics: dict[str, float]
    """Split -> value; empty when the run diverged, without `test` for a trial."""
    bound: float | None = None
    """The best possible value on the test split, where the distribution is known."""
    config: dict[str, Any]
    digest: str = ""
    """Names the configuration, whatever the seed; runs that share it are a group."""
    set_by_caller: list[str]
    """Dotted keys that came from the command line or a `--config` file."""
    recipe: str
    curve: list[Point] = []
    divergence: Divergence | None = None
    data: dict[str, str]
    """Corpus file -> sha256."""
    cost: Cost
    provenance: Provenance
    started: str
    finished: str
    extra: dict[str, float] = {}
    """Further numbers of the run, such as the spread of a gradient norm."""
    beside: dict[str, dict[str, float]] = {}
    """Signature -> split -> value of what is reported beside the metric; the signature begins with
    its name."""

    @property
    def model(self) -> str:
        """Name of the architecture or baseline."""
        return str(self.config["model"]["name"])


def read_record(path: Path) -> Record:
    """The record in `path`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BenchError(f"{path}: not a record ({error}); restore it or delete it") from None


def write_record(record: Record, folder: Path) -> Path:
    """Write `record` to `folder`/<id>.json; a reader sees the whole file or none."""
    path = folder / f"{record.id}.json"
    text = msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    write_atomically(path, text)
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step that survives a kill and a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
