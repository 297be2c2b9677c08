"""Processes that train together, forked from one that has imported torch and started no thread."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator

from bench.core.ranks import Rank

LIMIT_SEC = 400.0
Work = Callable[[Rank], None]


def in_processes(size: int, work: Work, *, limit_sec: float = LIMIT_SEC) -> list[int]:
    """Have each of `size` processes do the work; their exit codes, negative for signals.

    Whoever takes longer than the limit is killed.
    """
    with _meeting_place() as port:
        children = [
            _fork(work, Rank(number=number, size=size, local=number, port=port))
            for number in range(size)
        ]
        until = time.monotonic() + limit_sec
        codes: dict[int, int] = {}
        while len(codes) < size and time.monotonic() < until:
            for child in set(children) - set(codes):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    codes[child] = os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        for child in set(children) - set(codes):
            codes[child] = _end(child)
    return [codes[child] for child in children]


def _fork(work: Work, rank: Rank) -> int:
    if child := os.fork():
        return child
    code = 1
    try:
        if rank.size > 1:
            os.environ.update(rank.as_environment(), TORCHELASTIC_USE_AGENT_STORE="True")
        work(rank)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def _meeting_place() -> Iterator[int]:
    """The port of a store that a process of its own holds, since it takes threads."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    reading, writing = os.pipe()
    holder = os.fork()
    if holder == 0:
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        os.write(writing, str(store.port).encode())
        os.close(writing)
        time.sleep(10 * LIMIT_SEC)
        os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            yield int(pipe.read())
    finally:
        _end(holder)


def _end(child: int) -> int:
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
