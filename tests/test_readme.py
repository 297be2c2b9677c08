"""Documents: commands are understood, links lead somewhere, generated pages are current."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import re
import shlex
from pathlib import Path

import pytest

from bench.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


def code_lines(text: str) -> list[str]:
    """The lines of indented and fenced blocks, without prompts."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            lines.append(line.strip().removeprefix("$ "))
    return lines


def commands(text: str, program: str) -> list[list[str]]:
    """The calls of `program` in the code of a document, each as its words.

    A call ends at a comment, at two blanks or where files are redirected, goes on in lines that
    begin with `--` or after a backslash, and stands for several where it says `a|b`.
    """
    calls: list[str] = []
    going_on = False
    for line in code_lines(text):
        shown = re.split(r"\s{2,}|\s#|\s[<>]\s", line)[0]
        if going_on or (calls and line.startswith("--")):
            calls[-1] += " " + shown.removesuffix("\\")
        elif shown.split(" ")[0] == program and "[OPTIONS]" not in shown:
            calls.append(shown.removesuffix("\\"))
        going_on = bool(calls) and shown.endswith("\\")
    return [list(words) for call in calls for words in alternatives(shlex.split(call))]


def alternatives(words: list[str]) -> list[tuple[str, ...]]:
    return list(itertools.product(*(word.split("|") for word in words)))


def in_documents(program: str) -> list[list[str]]:
    return [call for path in DOCUMENTS for call in commands(path.read_text(), program)]


def in_help() -> list[list[str]]:
    """The examples in the help of every verb."""
    verbs = [app[name] for name in app if not name.startswith("-")]
    texts = [inspect.getdoc(verb.default_command) for verb in verbs]
    return [call for text in texts for call in commands(text or "", "bench")]


def python_blocks() -> list[Path]:
    return [path for path in DOCUMENTS if "```python" in path.read_text()]


@pytest.mark.parametrize("path", python_blocks(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_python_of_a_document_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S):
        exec(compile(block, str(path), "exec"), names)


def understood(words: list[str]) -> str:
    """The name of the function that a call would run; nothing is run."""
    command, _, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    return str(getattr(command, "__name__", command))


def test_the_reader_of_documents_sees_calls_whole() -> None:
    text = (
        "Say `bench no`.\n\n    $ bench run --task t   # so\n      --seed 3    three\n"
        "    bench list a|b\n\n```text\nbench table t \\\n  --all\nother\n"
        "bench list c < in > out\n```\n"
    )
    assert commands(text, "bench") == [
        ["bench", "run", "--task", "t", "--seed", "3"],
        ["bench", "list", "a"],
        ["bench", "list", "b"],
        ["bench", "table", "t", "--all"],
        ["bench", "list", "c"],
    ]


def test_the_readme_shows_the_commands_that_matter() -> None:
    shown = {tuple(words[1:2]) for words in commands((ROOT / "README.md").read_text(), "bench")}
    assert {("run",), ("table",), ("sweep",), ("compare",)} <= shown


def started_by(program: str) -> list[list[str]]:
    """The calls of `bench` that another program starts."""
    return [words[words.index("bench") :] for words in in_documents(program)]


def test_other_programs_start_runs() -> None:
    assert started_by("torchrun") == started_by("srun") != []


@pytest.mark.parametrize(
    "words", in_documents("bench") + in_help() + started_by("torchrun"), ids=" ".join
)
def test_a_command_that_is_shown_is_understood(words: list[str]) -> None:
    assert understood(words)


def runs() -> list[list[str]]:
    calls = [words[1:] for words in in_documents("bench") + in_help() if words[1:2] == ["run"]]
    others = {"--config", "--init.model", "--print-config", "--help"}
    return [words for words in calls if not others & set(words)]


@pytest.mark.parametrize("words", runs(), ids=" ".join)
def test_a_run_that_is_shown_names_settings_that_exist(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command, bound, _ = app.parse_args(
        [*words, "--print-config"], exit_on_error=False, print_error=False
    )
    command(*bound.args, **bound.kwargs)
    assert capsys.readouterr().out.startswith("task: ")


def test_the_targets_that_are_shown_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    shown = {words[1] for words in in_documents("make")}
    for path in [*DOCUMENTS, ROOT / ".ci" / "run"]:
        shown |= set(re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(), re.M))
    assert {"run", "test"} <= shown
    assert shown <= targets


def test_the_targets_are_said_to_be_no_files() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.M))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert phony is not None
    assert targets == set(phony[1].split())


LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_between_documents_leads_to_a_file(path: Path) -> None:
    targets = [link for link in LINK.findall(path.read_text()) if "://" not in link]
    missing = [link for link in targets if not (path.parent / link).exists()]
    assert missing == []


def test_the_readme_is_one_short_page() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 12_000


def test_every_page_is_reached_from_the_index() -> None:
    """By its name, or by the pattern of its folder."""
    index = (ROOT / "docs" / "index.md").read_text()
    entries = {line.strip() for line in index.splitlines()}
    pages = [path.relative_to(ROOT / "docs") for path in ROOT.glob("docs/**/*.md")]
    unreached = [
        str(page)
        for page in pages
        if page.name != "index.md"
        and not {str(page.with_suffix("")), f"{page.parent}/*"} & entries
        and "tables" not in page.parts
    ]
    assert unreached == []


def test_the_reference_pages_say_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    stale = [
        name
        for name, text in generate.pages().items()
        if (ROOT / "docs" / name).read_text() != text
    ]
    assert stale == [], "run `python docs/generate.py`"
