"""Whether a process of this machine still lives, without a mistake about its number."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def worker_name() -> str:
    """`host:pid` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def identity() -> str | None:
    """This process among all that ever ran: boot, namespace, number, start; None off Linux."""
    world, started = _world(), _start_time(os.getpid())
    return None if world is None or started is None else f"{world}/{os.getpid()}/{started}"


def is_gone(process: str | None) -> bool | None:
    """Whether the process `identity` named has ended; None where it cannot be seen from here."""
    world = _world()
    if process is None or world is None or not process.startswith(f"{world}/"):
        return None
    number, _, started = process.removeprefix(f"{world}/").partition("/")
    return _start_time(int(number)) != started


def _world() -> str | None:
    """The boot of the kernel and the namespace in which process numbers mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _start_time(number: int) -> str | None:
    """Clock ticks from boot to the start of a process that has not ended."""
    try:
        content = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return None
    fields = content.rpartition(")")[2].split()  # from the third on; a name may hold blanks
    state, started = fields[0], fields[19]
    return None if state in "ZX" else started
