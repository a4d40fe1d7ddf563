"""What docs/specs.md says of an edit of each key, which is what the kinds say: the process runs on, or does not. Judged by its pid
and the time that it began."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab
from tests.keys import edits, effects, rows

ANEW = (
    "services.environment",
    "services.user",
    "services.tmpfs",
    "services.cap_add",
    "services.sysctls",
    "services.configs.mode",
    "services.network_mode",
    "configs.content",
    "volumes.name",
    "volumes.external",
    "volumes.x-corral.each",
)
ASKED_OF_V1 = {
    "services.mem_swappiness": "memory.swappiness",
    "services.oom_kill_disable": "memory.oom_control",
    "services.cpu_rt_runtime": "cpu.rt_runtime_us",
    "services.cpu_rt_period": "cpu.rt_runtime_us",
}
"""Mapping from the keys that not every kernel has to the file of cgroup v1 by which it has them."""


@pytest.fixture
def prepared(lab: Lab) -> Iterator[Lab]:
    """A lab with what some of the rows ask for."""
    lab.environment |= {"V": "v", "W": "w", "COMPOSE_PROFILES": "p"}
    lab.write("from=file\n", "file.labels")
    lab.write("in the file\n", "file")
    for kind in ("network", "volume"):
        lab.corral(kind, "create", "there")
    yield lab
    lab.end()
    for kind in ("network", "volume"):
        lab.corral(kind, "rm", "there")


def is_here(row: rows.Row) -> bool:
    """Whether this kernel has it."""
    file = ASKED_OF_V1.get(row.path)
    return not file or machine.cgroup_of(os.getpid(), file.partition(".")[0]).joinpath(file).exists()


def identities(lab: Lab) -> dict[str, tuple[int, str]]:
    """Mapping from a service to the pid of its container's first process, and when that began."""
    return {name.removesuffix("-1"): (pid, machine.start_time(pid)) for name, pid in lab.pids().items()}


@pytest.mark.timeout(300)
def test_what_is_said_to_change_live_keeps_its_process_and_what_is_made_anew_does_not(prepared: Lab) -> None:
    lab = prepared
    live = [row for row in rows.ROWS if effects.of(row) in effects.RUNS_ON and is_here(row)]
    anew = [rows.BY_PATH[path] for path in ANEW]
    lab.up(json.dumps(edits.project([*live, *anew])))
    before = identities(lab)
    assert before.keys() == {"b", *map(edits.name_of, (*live, *anew))}
    lab.up(json.dumps(edits.project([], [*live, *anew])))
    lab.corral("plan")
    after = identities(lab)
    moved = {row.path for row in (*live, *anew) if before[edits.name_of(row)] != after[edits.name_of(row)]}
    assert moved == set(ANEW)
    for row in (row for row in rows.ROWS if effects.of(row) in effects.RUNS_ON and not is_here(row)):
        lab.write(json.dumps(edits.project([], [*live, *anew, row])))
        assert row.path.rpartition(".")[2] in lab.refusal("up", "-d")
        assert identities(lab) == after
