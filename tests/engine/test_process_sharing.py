# ruff: noqa: ASYNC240
# Looking at files and processes between two steps is what these tests do; nothing else runs in their loop meanwhile.
"""Containers whose namespaces are others': what they see, and that they end whole, with or without cgroup.kill."""

import os
import pathlib
import signal

import pytest

from engine import errors
from engine.process import wire
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]

HOST_PIDS = wire.Namespaces(own_pid=False)
FAMILY = (
    "sh",
    "-c",
    "trap true TERM; setsid sleep 1000 & (sleep 1001 &) ; echo ready; while true; do sleep 0.05; done",
)
OLD = pytest.mark.parametrize("lab", [frozenset(), frozenset({"cgroup-kill"}), frozenset({"pidfs"})], indirect=True)


@OLD
@pytest.mark.parametrize("planned", [True, False])
async def test_what_is_left_of_it_ends_with_its_first_process(lab: Lab, planned: bool) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec(*FAMILY, namespaces=HOST_PIDS))
        await process_kit.eventually_async(lambda: len(lab.cgroups.pids()) >= 4)
        assert os.readlink(f"/proc/{process.identity.pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
        if planned:
            found = await sandbox.shim.stop("c1", signal.SIGTERM, 0.1)
        else:
            os.kill(process.identity.pid, signal.SIGKILL)
            found = await sandbox.exit()
        assert found is not None
        assert (found.code, found.planned) == (137, planned)
        assert not lab.cgroups.pids(), "when its end is told there is nothing left"
        again = await sandbox.shim.start(lab.spec("sleep", "1000", namespaces=HOST_PIDS))
        assert again.identity.pid in lab.cgroups.pids()


@OLD
async def test_a_donor_that_is_gone_is_an_error_and_nothing_runs(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        donor = await sandbox.shim.start(lab.spec("sleep", "1000"))
        shared = wire.Namespaces(own_pid=False, own_ipc=False, pid_of=donor.identity, ipc_of=donor.identity)
        guest = await sandbox.shim.start(lab.spec("sleep", "1000", container="c2", namespaces=shared))
        for kind in ("pid", "ipc"):
            assert os.readlink(f"/proc/{guest.identity.pid}/ns/{kind}") == os.readlink(
                f"/proc/{donor.identity.pid}/ns/{kind}"
            )
        assert pathlib.Path(f"/proc/{donor.identity.pid}/root/dev/shm").stat().st_dev == (
            pathlib.Path(f"/proc/{guest.identity.pid}/root/dev/shm").stat().st_dev
        )
        os.kill(donor.identity.pid, signal.SIGKILL)
        assert {(await sandbox.exit()).container for _ in range(2)} == {"c1", "c2"}
        with pytest.raises(errors.EngineError, match="whose it is has ended"):
            await sandbox.shim.start(lab.spec("sleep", "1000", container="c2", namespaces=shared))
        assert not lab.cgroups.pids()
