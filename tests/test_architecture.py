"""The shape of the code: which way imports point, what stays light, how long files get."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LIGHT = ("core", "domains", "table", "export", "cli")
"""Parts that are imported by `bench list` and `bench table`, which answer at once."""
HEAVY = ("torch", "numpy", "pytorch_lightning", "wandb", "scipy", "matplotlib")


def dotted(path: Path) -> str:
    """The name of a module below `bench`; the package itself is ''."""
    parts = path.relative_to(ROOT / "bench").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted((ROOT / "bench").rglob("*.py"))}


def is_in(module: str, part: str) -> bool:
    return f"{module}.".startswith(f"{part}.")


def names_in(node: ast.AST) -> list[str]:
    """The modules that an import statement may load, as absolute names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


@functools.cache
def all_imports(module: str) -> set[str]:
    """The modules that `module` may load, inside its functions too."""
    return {name for node in ast.walk(parsed(module)) for name in names_in(node)}


def imported(module: str) -> set[str]:
    """Our modules that `module` imports anywhere in it."""
    names = all_imports(module)
    ours = {name.removeprefix("bench.") for name in names if name.startswith("bench.")}
    return ours & set(MODULES)


@functools.cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def at_import(body: list[ast.stmt]) -> Iterator[str]:
    """What is loaded when a module is: statements outside functions and `if TYPE_CHECKING`."""
    for node in body:
        yield from names_in(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from at_import(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            yield from at_import(node.body + [s for h in node.handlers for s in h.body])
        elif isinstance(node, ast.With | ast.ClassDef):
            yield from at_import(node.body)


def loaded_with(module: str) -> set[str]:
    """Everything that importing `module` imports, through our own modules to the end."""
    seen, found, waiting = set[str](), set[str](), [module]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        parts = current.split(".")
        waiting += [".".join(parts[:depth]) for depth in range(1, len(parts))]
        for name in at_import(parsed(current).body):
            ours = name.removeprefix("bench.")
            if name.startswith("bench.") and ours in MODULES:
                waiting.append(ours)
            elif not name.startswith("bench"):
                found.add(name.partition(".")[0])
    return found


def test_an_architecture_knows_the_contract_only() -> None:
    for module in MODULES:
        if is_in(module, "models"):
            others = {name for name in imported(module) if not is_in(name, "models")}
            assert others <= {"core.errors", "core.structs"}, module


@pytest.mark.parametrize("part", LIGHT)
def test_what_lists_and_tabulates_loads_nothing_heavy(part: str) -> None:
    for module in MODULES:
        if is_in(module, part):
            assert loaded_with(module).isdisjoint(HEAVY), module


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        ("wandb", "tracking.wandb_"),
        ("wandb_workspaces", "tracking.wandb_"),
        ("mlflow", "tracking.mlflow"),
        ("tensorboard", "tracking.tensorboard"),
    ],
)
def test_a_tracker_is_known_in_its_own_files_only(library: str, modules: str) -> None:
    knowing = [
        module
        for module in MODULES
        if library in {name.partition(".")[0] for name in all_imports(module)}
    ]
    assert [module for module in knowing if not module.startswith(modules)] == []


@pytest.mark.parametrize("folder", ["tasks", "sweeps", "results"])
def test_folders_of_facts_hold_no_code(folder: str) -> None:
    assert list((ROOT / folder).rglob("*.py")) == []


def test_constraints_are_names_and_exact_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 10
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin)] == []
    assert not re.search(r"https?://", "\n".join(lines))


def test_files_are_short() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_a_small_module_has_several_readers() -> None:
    """One of less than 40 lines with a single reader belongs to its reader."""
    readers = {
        name: {other for other in MODULES if other != name and name in imported(other)}
        for name, path in MODULES.items()
        if path.stem not in ("__init__", "__main__") and len(path.read_text().splitlines()) < 40
    }
    assert {name: found for name, found in readers.items() if len(found) < 2} == {}


def test_nothing_lies_loose_at_the_top() -> None:
    loose = {name for name in MODULES if name and MODULES[name].parent == ROOT / "bench"}
    assert loose == {"__main__", "domains"}


def test_docstrings_begin_with_what_they_name() -> None:
    """With a noun or a verb, never with a question word."""
    vague = re.compile(r"(What|Of|How|Whether|That|Those|Who|Where|Which|Such|So|When|The same)\b")
    found = [
        f"{module}: {text.splitlines()[0]}"
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and vague.match(text := ast.get_docstring(node) or "")
    ]
    assert found == []


def test_modules_are_called_after_what_they_are() -> None:
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "compat"}
    assert [module for module in MODULES if vague & set(module.split("."))] == []


def test_constructors_name_their_arguments() -> None:
    nameless = [
        module
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.FunctionDef) and node.name == "__init__" and node.args.kwarg
    ]
    assert nameless == []
