"""Rank of this process in its run, read from the environment of `bench run`, torchrun or srun."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from bench.core.errors import BenchError


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One of the processes that train one model together; unless given, the only one."""

    number: int = 0
    """Among all, from 0; the first one keeps the record."""
    size: int = 1
    """Number of processes."""
    local: int = 0
    """Among those of its node: which device it has."""
    node: int = 0
    address: str = "127.0.0.1"
    port: int = 0
    """Address of the rendezvous."""

    @property
    def is_first(self) -> bool:
        return self.number == 0

    def as_environment(self) -> dict[str, str]:
        """The variables by which torchrun tells a process the same."""
        return {
            "RANK": str(self.number),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(self.local),
            "GROUP_RANK": str(self.node),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


ALONE = Rank()


def find_rank(environment: Mapping[str, str], *, devices: int, num_nodes: int) -> Rank | None:
    """This process among the `devices` times `num_nodes` of a run; None: none is started yet.

    Raises BenchError where other processes were started than the configuration asks for.
    """
    wanted = devices * num_nodes
    if (told := _by_torchrun(environment)) is None and wanted > 1:
        told = _by_srun(environment)  # which may also start several runs of one device each
    if told is None:
        return ALONE if wanted == 1 else None
    if told.size != wanted or (wanted > 1 and told.local >= devices):
        raise BenchError(
            f"process {told.number} of {told.size}, {told.local} on its node, was started for "
            f"--trainer.devices {devices} --trainer.num-nodes {num_nodes}: start as many on each "
            "node as there are devices"
        )
    return told


def quiet_torch(environment: MutableMapping[str, str]) -> None:
    """Before torch is imported by one of several processes: no advice to programmers from it."""
    if {"RANK", "SLURM_STEP_NUM_TASKS"} & environment.keys():
        environment.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def is_first_process(environment: Mapping[str, str]) -> bool:
    """Return True in the first process of a run."""
    return all(environment.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def is_started_again(environment: Mapping[str, str]) -> bool:
    """Return True where torchrun has restarted the processes after one was lost."""
    return int(environment.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _by_torchrun(environment: Mapping[str, str]) -> Rank | None:
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return None
    return Rank(
        number=int(environment["RANK"]),
        size=int(environment["WORLD_SIZE"]),
        local=int(environment.get("LOCAL_RANK", "0")),
        node=int(environment.get("GROUP_RANK", "0")),
        address=environment["MASTER_ADDR"],
        port=int(environment["MASTER_PORT"]),
    )


def _by_srun(environment: Mapping[str, str]) -> Rank | None:
    """Rank in a job step with several tasks; the batch script itself is no step."""
    size = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if size == 1:
        return None
    job, step = int(environment["SLURM_JOB_ID"]), int(environment.get("SLURM_STEP_ID", "0"))
    own_port = 15_000 + (job + 101 * step) % 10_000  # each task comes to the same, alone
    nodes = environment.get("SLURM_STEP_NODELIST", "127.0.0.1")
    return Rank(
        number=int(environment["SLURM_PROCID"]),
        size=size,
        local=int(environment["SLURM_LOCALID"]),
        node=int(environment["SLURM_NODEID"]),
        address=environment.get("MASTER_ADDR") or _first_node(nodes),
        port=int(environment.get("MASTER_PORT") or own_port),
    )


def _first_node(nodes: str) -> str:
    """`gpu[07-09,12],login1` -> `gpu07`."""
    first = re.match(r"([^,\[]+)(?:\[([^,\]-]+)[^\]]*\])?([^,]*)", nodes)
    return "".join(part or "" for part in first.groups()) if first else nodes
