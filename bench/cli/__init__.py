"""The command line: each verb parses, calls one function and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    Group,
    UnknownOptionError,
    UnusedCliTokensError,
)

from bench import __version__
from bench.cli.compare import compare
from bench.cli.data import data
from bench.cli.diagnose import diagnose
from bench.cli.errors import errors
from bench.cli.evaluate import evaluate
from bench.cli.export import export, plot
from bench.cli.list import list_things
from bench.cli.mix import mix
from bench.cli.report import report
from bench.cli.reproduce import reproduce
from bench.cli.run import run
from bench.cli.settings import GROUPS
from bench.cli.speed import speed
from bench.cli.sweep import sweep
from bench.cli.sync import sync
from bench.cli.table import table
from bench.cli.translate import rescore, translate
from bench.core.errors import BenchError, LostProcessError, nearest
from bench.core.ranks import quiet_torch
from bench.launch.ranks import EXIT_PEER_LOST, PARENT_REPORTS

Verb = Callable[..., None]
_HELP = frozenset(("--help", "-h", "--install-completion"))

VERBS: dict[str, tuple[Verb, ...]] = {
    "Train": (run, sweep, reproduce),
    "Read": (table, compare, report, plot, export),
    "Look inside": (errors, diagnose, evaluate, translate, rescore, mix, speed),
    "Housekeeping": (list_things, data, sync),
}
"""Verbs of the command line under the headings of its help."""


def build_app(verbs: Callable[[Verb], Verb] = lambda verb: verb) -> App:
    """Build the command line of `verbs` applied to each verb."""
    built = App(
        name="bench",
        version=__version__,
        help_format="markdown",
        suppress_keyboard_interrupt=False,
        help="""Measure recurrent architectures on sequence tasks, beside the papers' tables.

        A first run needs no file, account or network:

            bench run --task synthetic-text --model scrn
            bench table synthetic-text

        Shell completion: `bench --install-completion`.
        """,
    )
    for place, (title, members) in enumerate(VERBS.items()):
        group = Group(title, sort_key=place)
        for verb in members:
            name = "list" if verb is list_things else verb.__name__
            built.command(verbs(verb), name=name, group=group, sort_key=members.index(verb))
    return built


app = build_app()


def main() -> None:
    """Run the command line: exit 0 when done, 2 for bad input with one line on stderr.

    75 where another process of the run was lost, so that a script can start the command again.
    """
    quiet_torch(os.environ)
    tokens = sys.argv[1:]
    try:
        chosen = _help_app(tokens) if _HELP & {*tokens} or not tokens else app
        chosen(tokens, exit_on_error=False, print_error=False)
    except LostProcessError as error:
        _end_rank(str(error))
    except BenchError as error:
        _fail(str(error))
    except CycloptsError as error:
        _fail(_one_line(error))
    except KeyboardInterrupt:
        if PARENT_REPORTS not in os.environ:
            print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # `bench table ptb | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}")


def _help_app(tokens: list[str]) -> App:
    """The command line whose help lists every setting."""
    from bench.cli.help import Named, with_settings

    named = Named.in_tokens(tokens)
    built = build_app(lambda verb: with_settings(verb, named) if verb.__name__ in tokens else verb)
    built.register_install_completion_command()
    return built


def _fail(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr)
    raise SystemExit(2)


def _end_rank(message: str) -> None:
    """End a process whose peer was lost at once: tearing down what waits for it may hang."""
    if PARENT_REPORTS not in os.environ:
        print(f"bench: {message}", file=sys.stderr)
    if "RANK" not in os.environ:
        raise SystemExit(EXIT_PEER_LOST)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_PEER_LOST)


def _one_line(error: CycloptsError) -> str:
    """Cyclopts' message on one line, with the nearest option for one that does not exist."""
    tokens = sys.argv[1:]
    names = [name for name in app if not name.startswith("-")]
    if tokens and tokens[0].startswith("-"):
        return f"unknown option {tokens[0]}, {nearest(tokens[0], app)}"
    if tokens and tokens[0] not in names:
        return f"unknown command {tokens[0]!r}, {nearest(tokens[0], names)}"
    token = getattr(error, "token", None)
    # Where a verb takes any number of names, the word at fault is a value.
    keyword = str(getattr(token, "keyword", None) or getattr(token, "value", None))
    if isinstance(error, UnknownOptionError):
        return f"unknown option {keyword}, {nearest(keyword, _options(tokens[0]))}"
    if isinstance(error, CoercionError) and keyword.removeprefix("--") in GROUPS:
        return f"{keyword} is a group of settings: give one of them, as in {keyword}.key value"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"{error.unused_tokens[0]!r} belongs to no option (see `bench {tokens[0]} --help`)"
    message = " ".join(str(error).split())
    return f"{message} (see `bench {tokens[0]} --help`)" if tokens else message


def _options(command: str) -> list[str]:
    arguments = app[command].assemble_argument_collection()
    return [name for argument in arguments for name in argument.names if name.startswith("--")]
