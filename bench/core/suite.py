"""Folders of facts and results.

The facts that ship with the package (cards, sweeps, published rows, committed records) lie at
the root of a checkout or inside the installed package. A working folder, the current one unless
`--suite` names another, may add cards and takes what is measured:

    <folder>/tasks/*.yaml                    further cards
    <folder>/sweeps/*.yaml                   further sweeps
    <folder>/results/<task>/runs/*.json      records
    <folder>/results/<task>/trials/*.json    records of a sweep's trials, which never saw the test
    <folder>/artifacts/<task>/<run>/         checkpoints and other heavy output
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.core.cards import Card, is_own, read_card
from bench.core.errors import BenchError, nearest
from bench.core.record import Record, Shelf, read_record, with_corpus

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder() -> Path:
    """The folder whose `tasks/`, `sweeps/` and `results/` came with this package."""
    inside = _PACKAGE / "facts"
    return inside if inside.is_dir() else _PACKAGE.parent


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The shipped facts together with a working folder."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Suite:
        """The suite of a working folder that a user named; one that is not there is refused."""
        if not folder.is_dir():
            raise BenchError(f"--suite {folder}: there is no such folder, make it first")
        return cls(folder=folder)

    @property
    def folders(self) -> list[Path]:
        """Folders to read, the working folder first."""
        shipped = shipped_folder()
        here = self.folder.resolve()
        return [here] if here == shipped else [here, shipped]

    def card_paths(self) -> dict[str, Path]:
        """Task -> card; a card of the working folder hides a shipped one of the same name."""
        return self._paths("tasks")

    def sweep_paths(self) -> dict[str, Path]:
        """Name -> sweep file; one of the working folder hides a shipped one of the same name."""
        return self._paths("sweeps")

    def _paths(self, kind: str) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            found.update({path.stem: path for path in sorted(folder.glob(f"{kind}/*.yaml"))})
        return dict(sorted(found.items()))

    def sweep_path(self, name: str) -> Path:
        """The sweep file that `name` is the path of, or that is called so without its ending."""
        if Path(name).suffix in (".yaml", ".yml"):
            return Path(name)
        paths = self.sweep_paths()
        if name not in paths:
            raise BenchError(f"unknown sweep {name!r}, {nearest(name, paths)}")
        return paths[name]

    def card(self, task: str) -> Card:
        """The card of `task`, or an error that names the nearest one."""
        paths = self.card_paths()
        if task not in paths:
            raise BenchError(f"unknown task {task!r}, {nearest(task, paths)}")
        return read_card(paths[task])

    def cards(self) -> list[Card]:
        """All cards, by name."""
        return [read_card(path) for path in self.card_paths().values()]

    def published_path(self, task: str) -> Path | None:
        """The published rows of `task`, if anybody wrote some down."""
        for folder in self.folders:
            path = folder / "results" / task / "published.yaml"
            if path.is_file():
                return path
        return None

    def sweep_result_path(self, task: str, name: str) -> Path:
        """Path of a sweep's result; its tables and pictures lie beside it."""
        return self.folder / "results" / task / "sweeps" / f"{name}.json"

    def record_path(self, task: str, run_id: str, shelf: Shelf = "runs") -> Path:
        """Path of the record of a run or of a trial."""
        return self.folder / "results" / task / shelf / f"{run_id}.json"

    def artifacts(self, task: str, run_id: str) -> Path:
        """The folder of a run's heavy output."""
        return self.folder / "artifacts" / task / run_id

    def records(self, task: str, shelf: Shelf = "runs") -> list[Record]:
        """All records of `task`, by name; one of the working folder hides a shipped one."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            place = folder / "results" / task / shelf
            found.update({path.stem: path for path in place.glob("*.json")})
        records = [read_record(found[name]) for name in sorted(found)]
        # Own data has a path: most tasks are done without reading their cards again.
        if any(record.config.get("data", {}).get("path") for record in records):
            path = self.card_paths().get(task)
            if path is not None and is_own(read_card(path)):
                return [with_corpus(record) for record in records]
        return records
