"""Whatever of the newer kernels is missing, a container starts, is asked, confined, stopped, killed and found again.

Each feature is switched off (`syscalls.missing`), and all of them together: that is Linux 6.1, the floor, and more. The evidence beside
it shows that the switch was thrown."""

import os
import signal

import pytest

from engine import shims
from engine.process import identity, syscalls, wire
from engine.records import shim_records
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]
EACH = [frozenset({name}) for name in syscalls.FEATURES]
WITHOUT = pytest.mark.parametrize(
    "lab", [*EACH, frozenset(syscalls.FEATURES)], indirect=True, ids=[*syscalls.FEATURES, "all"]
)
MASKED = ("/proc/fs", "/proc/irq", "/proc/keys")


@WITHOUT
async def test_a_container_starts_runs_commands_stops_and_starts_again(lab: Lab) -> None:
    script = "trap 'echo ends; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    spec = lab.spec("sh", "-c", script, confinement=wire.Confinement(masked_paths=MASKED))
    async with lab.sandbox() as sandbox:
        for number in range(1, 3):
            process = await sandbox.shim.start(spec._replace(run=str(number)))
            await process_kit.eventually_async(lambda number=number: lab.output().count("ready\n") == number)
            assert process.identity.inode == 0 or "pidfs" not in lab.zygote.missing
            assert process.identity.pid in lab.cgroups.pids()
            assert await sandbox.exec("sh", "-c", "echo $((6*7)); exit 4") == (4, "42\n")
            assert await sandbox.exec("ls", "/proc/irq", "/proc/fs") == (0, "/proc/fs:\n\n/proc/irq:\n")
            exited = await sandbox.shim.stop("c1", signal.SIGTERM, 5.0)
            assert exited is not None
            assert (exited.code, exited.planned) == (5, True)
    assert lab.output().count("ends\n") == 2


@WITHOUT
async def test_one_that_does_not_go_is_killed_with_all_it_has_forked(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", "trap '' TERM; sleep 100 & sleep 100 & echo ready; wait; wait"))
        await process_kit.eventually_async(lambda: "ready" in lab.output())
        exited = await sandbox.shim.stop("c1", signal.SIGTERM, 0.05)
        assert exited is not None
        assert exited.code == 137
        await process_kit.eventually_async(lambda: not lab.cgroups.pids())


@WITHOUT
async def test_a_terminal_is_given(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        assert (
            await sandbox.output("sh", "-c", "test -t 0 && test -t 1 && test -c /dev/console && echo yes", tty=True)
            == "yes\r\n"
        )


@WITHOUT
async def test_its_shim_is_found_again_and_no_other_process_is_taken_for_it(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        recorded = shim_records.identity_of(sandbox.shim.directory)
        assert recorded is not None
        syscalls.missing.update(lab.zygote.missing)
        try:
            pidfd = identity.reopen(recorded)
            assert pidfd is not None
            os.close(pidfd)
            assert identity.reopen(recorded._replace(start_time=1, inode=recorded.inode and 1)) is None
            assert identity.reopen(recorded._replace(boot_id="another")) is None
            shim = await shims.adopt(sandbox.shim.directory)
            assert shim is not None
            async with process_kit.running(lab, shim) as again:
                assert await again.exec("true") == (0, "")
        finally:
            syscalls.missing.clear()
