"""A process knows which of its run's it is from what torchrun or srun has told it."""

from __future__ import annotations

import pytest

from bench.core.errors import BenchError
from bench.core.ranks import ALONE, Rank, find_rank, is_first_process, is_started_again

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "GROUP_RANK": "1",
    "MASTER_ADDR": "node-a",
    "MASTER_PORT": "29500",
}
SRUN = {
    "SLURM_JOB_ID": "123456",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}
BATCH_SCRIPT = {"SLURM_JOB_ID": "123456", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}


@pytest.mark.parametrize("environment", [{}, SRUN, BATCH_SCRIPT, {"RANK": "0"}])
def test_one_device_is_one_process(environment: dict[str, str]) -> None:
    assert find_rank(environment, devices=1, num_nodes=1) == ALONE


@pytest.mark.parametrize("environment", [{}, BATCH_SCRIPT, {**SRUN, "SLURM_STEP_NUM_TASKS": "1"}])
def test_several_devices_of_which_nobody_has_started_processes(
    environment: dict[str, str],
) -> None:
    assert find_rank(environment, devices=2, num_nodes=1) is None


def test_torchrun_and_srun_say_the_same() -> None:
    by_torchrun = find_rank(TORCHRUN, devices=2, num_nodes=2)
    assert by_torchrun == Rank(number=3, size=4, local=1, node=1, address="node-a", port=29500)
    by_srun = find_rank(SRUN, devices=2, num_nodes=2)
    assert by_srun == Rank(number=3, size=4, local=1, node=1, address="gpu07", port=18456)
    assert by_torchrun.as_environment() == TORCHRUN
    assert find_rank({**SRUN, **TORCHRUN}, devices=2, num_nodes=2) == by_torchrun


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu7,gpu9", "gpu7"),
        ("gpu[07-09,12],login1", "gpu07"),
        ("gpu[3,5]", "gpu3"),
        ("a[1-2].cluster", "a1.cluster"),
    ],
)
def test_the_processes_of_srun_meet_on_the_first_node(nodes: str, first: str) -> None:
    rank = find_rank({**SRUN, "SLURM_STEP_NODELIST": nodes}, devices=2, num_nodes=2)
    assert rank is not None
    assert rank.address == first


def test_steps_of_one_job_meet_apart() -> None:
    other = find_rank({**SRUN, "SLURM_STEP_ID": "1"}, devices=2, num_nodes=2)
    assert other is not None
    assert other.port != 18456
    told = {"MASTER_ADDR": "node-b", "MASTER_PORT": "4000"}
    chosen = find_rank({**SRUN, **told}, devices=2, num_nodes=2)
    assert chosen is not None
    assert (chosen.address, chosen.port) == ("node-b", 4000)


@pytest.mark.parametrize(
    ("environment", "devices", "num_nodes"),
    [(TORCHRUN, 1, 1), (TORCHRUN, 3, 1), (TORCHRUN, 1, 4), (SRUN, 2, 1), (SRUN, 1, 4)],
)
def test_other_numbers_are_refused(
    environment: dict[str, str], devices: int, num_nodes: int
) -> None:
    with pytest.raises(BenchError, match=f"3 of 4, 1 on its .*devices {devices} .*{num_nodes}"):
        find_rank(environment, devices=devices, num_nodes=num_nodes)


def test_torchrun_says_when_it_starts_again() -> None:
    assert not is_started_again({})
    assert not is_started_again({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "0"})
    assert is_started_again({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "1"})


def test_the_first_process_is_told_from_the_others() -> None:
    assert is_first_process({})
    assert is_first_process({"RANK": "0", "LOCAL_RANK": "0"})
    assert not is_first_process(TORCHRUN)
    assert not is_first_process({"RANK": "2", "LOCAL_RANK": "0"})
