"""Records of runs: one small JSON file each, written once, atomically.

A record is a tree, so the garbage collector, which looks for cycles, has nothing to find in it:
`gc=False` is what lets ten thousand of them be read in a second.
"""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.core.errors import BenchError

RECIPE = "recipe:"
"""Prefix of an `init` source that names a recipe instead of a run."""
_WEIGHT, _CACHE = "weight ", "unigram-cache"

Shelf = Literal["runs", "trials"]
"""Runs are measured on test, once; a sweep's trials are not. Tables read runs only."""


class Point(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
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


class Divergence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Place at which the loss became NaN or infinite."""

    epoch: int
    step: int
    gradient_norm: float
    """Total norm at the last finite step before it."""


class Cost(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cost of a run. A figure that could not be read is absent, never guessed."""

    num_parameters: int
    flops_per_token: int | None = None
    """Forward and backward, matrix products only, by formula."""
    counted_flops_per_token: int | None = None
    """Operations counted during a few training batches; on request."""
    flops: int | None = None
    """By formula over all training, as far as it went."""
    unit: Literal["token", "frame", "label"] = "token"
    """Unit that these figures call a token."""
    seconds: float
    """Training and validation, all sessions of a resumed run together."""
    seconds_by_point: list[float] = []
    """The seconds that had gone by at each point of the learning curve."""
    tokens_per_sec: float | None = None
    """Training tokens over training seconds."""
    limit_flops_per_sec: float | None = None
    """Rate of large matrix products on this machine in the run's threads and precision."""
    share_of_limit: float | None = None
    """FLOPs of training by formula over training seconds, as a share of that."""
    peak_memory_bytes: int | None = None
    energy_joules: float | None = None
    """Over the same time as `seconds`, of the whole machine, other work on it included."""
    energy_source: str | None = None
    """The counters that were read: RAPL of the processors, NVML of the GPUs used, or both."""


class Provenance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Code, packages and machine that made the number."""

    commit: str | None
    dirty: bool | None
    packages: dict[str, str]
    python: str
    platform: str
    hardware: dict[str, str | int]
    products: str = "float32"
    """Precision of the matrix products that was in effect."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    """Definition of the number: unit, text, protocol. Two signatures never share a column."""
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

    def seconds_to(self, target: float, direction: Literal["min", "max"]) -> float | None:
        """Seconds until a validation was as good as `target`; None where none was or timed."""
        if len(self.cost.seconds_by_point) != len(self.curve):
            return None
        timed = zip(self.curve, self.cost.seconds_by_point, strict=True)
        good = (
            seconds
            for point, seconds in timed
            if (point.valid <= target if direction == "min" else point.valid >= target)
        )
        return next(good, None)


_GROUPS = ("model", "objective", "data", "optim", "trainer", "init")
_DECODER = msgspec.json.Decoder(Record)


def read_record(path: Path) -> Record:
    """The record in `path`.

    Raises BenchError, naming file and field, for one that is damaged or holds a wrong type.
    """
    try:
        record = _DECODER.decode(path.read_bytes())
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise BenchError(f"{path}: not a record ({error}); restore it or delete it") from None
    if (fault := _config_fault(record.config)) is not None:
        raise BenchError(f"{path}: not a record ({fault}); restore it or delete it")
    return record


def _config_fault(config: dict[str, Any]) -> str | None:
    """First part of a configuration with a wrong type."""
    for group in _GROUPS:
        if not isinstance(config.get(group, {}), dict):
            return f"expected a mapping - at `$.config.{group}`"
    if not isinstance(config.get("model", {}).get("name"), str):
        return "expected the name of a model - at `$.config.model.name`"
    for group in _GROUPS:
        for key, value in config.get(group, {}).items():
            if not isinstance(value, str | int | float | None):
                return f"expected a number, a word or null - at `$.config.{group}.{key}`"
    return None


def with_corpus(record: Record) -> Record:
    """Record on own data whose signature tells its corpus, as those before version 0.2 did not."""
    if "|corpus:" in record.signature:
        return record
    data = record.config.get("data", {})
    told = [sorted(record.data.values()), data.get("minimum_count"), data.get("languages")]
    digits = hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:8]
    return msgspec.structs.replace(record, signature=f"{record.signature}|corpus:{digits}")


def write_record(record: Record, folder: Path) -> Path:
    """Write `record` to `folder`/<id>.json; a reader sees the whole file or none."""
    path = folder / f"{record.id}.json"
    text = msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    write_atomically(path, text)
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step that survives a kill and a power cut.

    A link stays, and what it points to is replaced; a pipe or a device is written to. A file keeps
    its mode; a new one has the one that the umask leaves.
    """
    if _is_stream(path):
        with path.open("ab") as stream:
            stream.write(content)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _is_stream(path: Path) -> bool:
    """Test for a pipe, a device, or this process's own output under any name."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return True
    return any(os.path.samestat(status, own) for own in _own_output())


def _own_output() -> Iterator[os.stat_result]:
    """Status of standard output and standard error, where they are open."""
    for number in (1, 2):
        with suppress(OSError):
            yield os.fstat(number)


def _mode(path: Path) -> int:
    """Mode of a file that is replaced, or of a new one under the process's umask."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _remove_left_over(path: Path) -> None:
    """Remove temporary files of writes to `path` whose process was killed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*-*"):
        pid = left.name.removeprefix(f".{path.name}.").partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            left.unlink(missing_ok=True)


def runs_used(record: Record) -> list[str]:
    """Runs that a record was made from: initial weights, evaluated runs, parts of a mixture."""
    sources = [str(source) for source in (record.config.get("init") or {}).values()]
    weights = [source for source in sources if not source.startswith(RECIPE)]
    return [*weights, *evaluated_runs(record), *mixed_runs(record)]


def evaluated_runs(record: Record) -> list[str]:
    """Runs that an evaluation measures.

    `gru-9d0e1f2a` with seed 3 is gru-9d0e1f2a-s3; `gru-9d0e1f2a[0,1]` is that and the next seed's.
    """
    found = []
    for name in str(record.config.get("objective", {}).get("evaluation_of", "")).split():
        stem, _, distances = name.removesuffix("]").partition("[")
        seeds = [record.seed + int(distance) for distance in (distances or "0").split(",")]
        found += [f"{stem}-s{seed}" for seed in seeds]
    return found


def mixed_runs(record: Record) -> list[str]:
    """Runs that a mixture combines."""
    names = [name.removeprefix(_WEIGHT) for name in record.extra if name.startswith(_WEIGHT)]
    return [name for name in names if not name.startswith(_CACHE)]
