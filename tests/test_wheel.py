"""The wheel, built from a clone's files and installed outside the checkout, is complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_task import RUN, make_suite

ROOT = Path(__file__).parent.parent
SOURCES = ("bench", "tasks", "sweeps", "results", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the files alone: a clone has no empty folders."""
    clone = tmp_path_factory.mktemp("clone")
    for name in SOURCES:
        for path in [ROOT / name, *sorted((ROOT / name).rglob("*"))]:
            if path.is_file() and "__pycache__" not in path.parts:
                target = clone / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    out = tmp_path_factory.mktemp("dist")
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(clone)]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment's interpreter; what the wheel depends on is lent by this environment."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(packages)
    # Site packages named in a .pth stand behind the wheel's own; their .pth files are not read,
    # so an editable install of the checkout stays out.
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "lent.pth").write_text("".join(f"{path}\n" for path in lent))
    return folder / "bin" / "python"


def call(python: Path, folder: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_bench_becomes_importable(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (entry_points,) = [n for n in names if n.endswith(".dist-info/entry_points.txt")]
        assert "bench = bench.cli:main" in opened.read(entry_points).decode()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bench"}
    assert not [name for name in names if name.startswith("bench/facts") and name.endswith(".py")]
    assert "bench/py.typed" in names


def test_every_fact_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    for folder in ("tasks", "sweeps", "results"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                assert f"bench/facts/{path.relative_to(ROOT)}" in names


def test_installed_it_lists_the_cards(installed: Path, tmp_path: Path) -> None:
    assert str(ROOT) not in call(installed, tmp_path, "-c", "import bench; print(bench.__file__)")
    listed = call(installed, tmp_path, "-m", "bench", "list", "tasks")
    for card in (ROOT / "tasks").glob("*.yaml"):
        assert f"\n{card.stem} " in listed
    assert "| " in call(installed, tmp_path, "-m", "bench", "table", "ptb")


@pytest.mark.slow
def test_installed_it_runs(installed: Path, tmp_path: Path) -> None:
    make_suite(tmp_path)
    assert "above the best possible" in call(installed, tmp_path, "-m", "bench", *RUN)
    assert list(tmp_path.glob("results/tiny/runs/srn-*-s1.json"))
