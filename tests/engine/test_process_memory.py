"""What a shim takes for itself while nothing happens."""

import os

import pytest

from engine.process import page_program
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]


def copies_kb(pid: int) -> int:
    """Pages that were written to after the fork, or before it by the zygote."""
    lines = process_kit.read(f"/proc/{pid}/smaps_rollup").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Anonymous:")))


@pytest.mark.skipif(not page_program.code(), reason="another processor than those the code is for")
async def test_a_shim_at_rest_gives_back_what_it_did_not_change_and_goes_on_as_before(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"))
        busy_kb = copies_kb(sandbox.pid)
        await process_kit.eventually_async(lambda: copies_kb(sandbox.pid) < 0.85 * busy_kb)
        for number in range(10):
            assert await sandbox.exec("echo", str(number)) == (0, f"{number}\n")
        used_kb = copies_kb(sandbox.pid)
        await process_kit.eventually_async(lambda: copies_kb(sandbox.pid) < 0.9 * used_kb)
        exited = await sandbox.shim.stop("c1", 15, 5.0)
        assert exited is not None
        assert exited.code == 5


async def test_nothing_of_a_shim_is_written_to_while_it_gives_pages_back(lab: Lab) -> None:
    """Not by another thread, and not by a signal's handler."""
    async with lab.sandbox() as sandbox:
        for pid in (lab.zygote.pid, sandbox.pid):
            assert process_kit.status(pid)["Threads"] == "1"
            assert int(process_kit.status(pid)["SigCgt"], 16) == 0


async def test_a_container_is_not_handed_the_memory_of_who_made_it(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        assert any("corral-zygote" in line for line in links(sandbox.pid)) == bool(page_program.code())
        assert not any("corral" in line for line in links(process.identity.pid))
        assert "corral" not in process_kit.read(f"/proc/{process.identity.pid}/maps")
        assert await sandbox.exec("sh", "-c", "ls -l /proc/self/fd | grep -c corral") == (1, "0\n")


def links(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
