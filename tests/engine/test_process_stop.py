# ruff: noqa: ASYNC240
# Looking at files and processes between two steps is what these tests do; nothing else runs in their loop meanwhile.
"""How containers are ended, and what is recorded of it."""

import os
import pathlib
import signal
import time

import anyio
import pytest

from engine import errors
from engine.process import frames, wire
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]

STUBBORN = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")


def record(lab: Lab, name: str) -> wire.Process | wire.Exit:
    found = frames.decode((lab.directory / "c1/run" / name).read_bytes())
    assert isinstance(found, wire.Process | wire.Exit)
    return found


async def test_a_program_that_listens_ends_at_once_and_as_planned(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done"))
        await process_kit.eventually_async(lab.output)
        begun = time.monotonic()
        found = await sandbox.shim.stop("c1", signal.SIGTERM, 10)
        assert time.monotonic() - begun < 3
        assert found is not None
        assert (found.code, found.planned) == (4, True)
        assert record(lab, "exit.json") == found
        assert await sandbox.exit() == found


async def test_one_that_does_not_listen_is_killed_with_everything_in_it(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", f"(trap '' TERM; sleep 60) & {STUBBORN[2]}"))
        await process_kit.eventually_async(lab.output)
        begun = time.monotonic()
        found = await sandbox.shim.stop("c1", signal.SIGTERM, 0.2)
        assert 0.2 <= time.monotonic() - begun < 3
        assert found is not None
        assert (found.code, found.planned) == (137, True)
        assert not lab.cgroups.pids()


async def test_the_mark_is_durable_before_the_signal(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec(*STUBBORN))
        await process_kit.eventually_async(lab.output)
        assert not record(lab, "process.json").planned
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.shim.stop, "c1", signal.SIGTERM, 60)
            await process_kit.eventually_async(lambda: record(lab, "process.json").planned)
            assert (await sandbox.shim.list()).running[0].planned
            tasks.start_soon(sandbox.shim.stop, "c1", signal.SIGTERM, 0)  # a shorter grace wins
        assert (await sandbox.exit()).planned


async def test_to_stop_what_has_ended_by_itself_changes_nothing(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        assert await sandbox.shim.stop("c1", signal.SIGTERM, 1) is None
        ended = await sandbox.run("sh", "-c", "exit 6")
        assert await sandbox.shim.stop("c1", signal.SIGTERM, 1) == ended
        assert (ended.code, ended.planned) == (6, False)
        assert (await sandbox.shim.list()).ended == (ended,)
        with pytest.raises(errors.EngineError, match="it is not running"):
            await sandbox.shim.signal("c1", signal.SIGTERM)


async def test_a_fork_bomb_is_ended(lab: Lab) -> None:
    for directory in lab.cgroups.v1:
        if directory.parent.name == "pids":
            (directory / "pids.max").write_text("200")
    if lab.cgroups.v2 is not None and (lab.cgroups.v2 / "pids.max").exists():
        (lab.cgroups.v2 / "pids.max").write_text("200")
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", "bomb() { bomb & bomb & wait; }; bomb 2>/dev/null"))
        await process_kit.eventually_async(lambda: len(lab.cgroups.pids()) > 150)
        found = await sandbox.shim.stop("c1", signal.SIGKILL, 0)
        assert found is not None
        assert not lab.cgroups.pids()


async def test_it_can_start_again_after_its_cgroup_was_killed_as_a_whole(lab: Lab) -> None:
    if lab.cgroups.v2 is None:
        pytest.skip("no cgroup v2 here")
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        (lab.cgroups.v2 / "cgroup.kill").write_text("1")
        assert (await sandbox.exit()).code == 137
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        assert lab.cgroups.pids() == {process.identity.pid}
        assert record(lab, "process.json") == process


@pytest.mark.parametrize(
    "lab", [frozenset({"clone-into-cgroup", "pidfs", "overlay-api", "cgroup-kill"})], indirect=True
)
async def test_an_old_kernel_does_it_all(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec(*STUBBORN))
        assert process.identity.inode == 0
        assert process.identity.start_time > 0
        assert lab.cgroups.pids() >= {process.identity.pid}
        assert await sandbox.exec("true") == (0, "")
        found = await sandbox.shim.stop("c1", signal.SIGTERM, 0.05)
        assert found is not None
        assert found.code == 137


async def test_containers_share_a_sandbox_and_end_apart(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        first = await sandbox.shim.start(lab.spec("sleep", "100", container="a"))
        second = await sandbox.shim.start(lab.spec("sleep", "100", container="b"))
        spaces = [
            {kind: os.readlink(f"/proc/{it.identity.pid}/ns/{kind}") for kind in ("net", "uts", "pid", "mnt", "ipc")}
            for it in (first, second)
        ]
        assert {kind for kind in spaces[0] if spaces[0][kind] == spaces[1][kind]} == {"net", "uts"}
        assert {it.container for it in (await sandbox.shim.list()).running} == {"a", "b"}
        await sandbox.shim.stop("a", signal.SIGKILL, 0)
        assert {it.container for it in (await sandbox.shim.list()).running} == {"b"}
        with pytest.raises(errors.EngineError, match="it is running"):
            await sandbox.shim.start(lab.spec("true", container="b"))


async def test_output_before_the_end_is_in_the_log_before_the_exit_is_told(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        for number in range(5):
            await sandbox.run("sh", "-c", "seq 1 20000; kill -9 $$", container=f"c{number}")
            assert lab.output(f"c{number}") == "".join(f"{line}\n" for line in range(1, 20001))


async def test_quit_ends_and_records_everything(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec(*STUBBORN))
        await sandbox.shim.quit()
        await process_kit.eventually_async(
            lambda: not process_kit.processes("corral shim proj/web " + str(lab.run_directory))
        )
        assert record(lab, "exit.json").container == "c1"
        assert not pathlib.Path(sandbox.shim.directory, "shim.sock").exists()
