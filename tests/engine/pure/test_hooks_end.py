"""Whether a hook failed, or its container ended under it: the kernel says so at once, the shim only when it is written down."""

import os
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from engine import hooks
from engine.container import Container
from engine.process import identity


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as found:
        yield found
        found.kill()


def container_of(program: subprocess.Popen[bytes]) -> Container:
    pidfd = os.pidfd_open(program.pid)
    try:
        return cast(Container, SimpleNamespace(process=SimpleNamespace(identity=identity.of(pidfd, program.pid))))
    finally:
        os.close(pidfd)


def test_who_lives_on_has_not_ended(program: subprocess.Popen[bytes]) -> None:
    container = container_of(program)

    async def act() -> None:
        with anyio.fail_after(5):
            assert not await hooks._has_ended(container, 0)
            assert not await hooks._has_ended(container, 0.1)

    anyio.run(act)


@pytest.mark.parametrize("ends", ["before", "soon"])
def test_an_end_that_is_heard_of_late_is_one(program: subprocess.Popen[bytes], ends: str) -> None:
    container: Any = container_of(program)

    async def end() -> None:
        await anyio.sleep(0.1 if ends == "soon" else 0)
        program.kill()
        await anyio.sleep(2 * hooks.OWN_END_S)
        container.process = None

    async def act() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end)
            if ends == "before":
                await anyio.to_thread.run_sync(lambda: os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT))
            assert await hooks._has_ended(container, 0 if ends == "before" else hooks.OWN_END_S)
            assert container.process is None, "and what comes of it is known"

    anyio.run(act)
