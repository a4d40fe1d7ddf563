"""Attaching to a container before it starts, and commands that outlive who has started them."""

import contextlib
import os
import pathlib
import resource
import socket

import anyio
import pytest

from engine import channel
from engine.process import frames, shim, wire
from tests.engine.process_kit import Lab, eventually_async, processes

pytestmark = [pytest.mark.root, pytest.mark.anyio]


async def heard(connection: socket.socket) -> tuple[object, list[int]]:
    """The next message, and its descriptors."""
    connection.setblocking(True)
    connection.settimeout(10)
    received = await anyio.to_thread.run_sync(frames.receive, connection)
    assert received is not None
    frame, descriptors = received
    return frame.body, list(descriptors)


def everything(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 65536), b""))


@pytest.mark.parametrize("is_backed", [False, True])  # cloned by the shim itself, and by a worker
async def test_who_attaches_before_the_start_misses_nothing(lab: Lab, is_backed: bool) -> None:
    mounts = (wire.Volume(lab.make("v"), "/data", filesystem=wire.Filesystem("tmpfs", "tmpfs")),) if is_backed else ()
    script = "echo first; echo second >&2; seq 20000; cat; exit 4"
    spec = lab.spec("sh", "-c", script, stdin_open=True, mounts=mounts)
    async with lab.sandbox() as sandbox:
        with await sandbox.shim.attach("c1", to_next=True) as connection:
            await sandbox.shim.start(spec)
            attached, ends = await heard(connection)
            assert attached == wire.Attached("c1", tty=False, stdin=True)
            out, error, sink = ends
            os.write(sink, b"typed\n")
            os.close(sink)
            text = (await anyio.to_thread.run_sync(everything, out)).decode().splitlines()
            assert text == ["first", *map(str, range(1, 20001)), "typed"]
            assert await anyio.to_thread.run_sync(everything, error) == b"second\n"
            ended, _ = await heard(connection)
            assert isinstance(ended, wire.Exited)
            assert (ended.exit.container, ended.exit.code) == ("c1", 4)
            for each in (out, error):
                os.close(each)
    assert lab.output(stream="stderr") == "second\n"


async def test_who_hangs_up_before_the_start_is_forgotten(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        (await sandbox.shim.attach("c1", to_next=True)).close()
        with await sandbox.shim.attach("c2", to_next=True) as connection:
            await sandbox.shim.start(lab.spec("sh", "-c", "echo on; exec cat", stdin_open=True))
            with await sandbox.shim.attach("c1") as late:
                attached, ends = await heard(late)
                assert attached == wire.Attached("c1", tty=False, stdin=True), "its input is still open"
                for each in ends:
                    os.close(each)
            await eventually_async(lambda: lab.output() == "on\n")
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)


@pytest.mark.parametrize("tty", [False, True])
async def test_a_detached_command_may_write_with_nobody_there(lab: Lab, tty: bool) -> None:
    script = "for n in $(seq 20000); do echo $n; echo $n >&2; done; exec sleep 1234"
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        (await sandbox.shim.exec(wire.ExecSpec("c1", ("sh", "-c", script), tty=tty, detached=True))).__exit__(
            None, None, None
        )
        await eventually_async(lambda: processes("sleep 1234"))


async def test_a_crowd_that_attaches_leaves_room_for_who_stops_it(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        with contextlib.ExitStack() as crowd:
            for number in range(shim.ATTACHED_MAX):
                connection = crowd.enter_context(await sandbox.shim.attach("c1", to_next=number % 2 > 0))
                for each in (await heard(connection))[1]:
                    os.close(each)
            with await sandbox.shim.attach("c1") as late:
                assert (await heard(late))[0] == wire.Failed("cannot attach to container c1: 128 others are attached")
            assert (await sandbox.exec("echo", "served")) == (0, "served\n")
        for _ in range(2):  # those who hung up are counted no more
            with await sandbox.shim.attach("c1") as connection:
                attached, ends = await heard(connection)
                assert isinstance(attached, wire.Attached)
                for each in ends:
                    os.close(each)


def ticks(pid: int) -> int:
    """Of its processor time."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_who_comes_where_no_descriptor_is_left_waits_and_costs_nothing(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        hard = resource.prlimit(sandbox.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(sandbox.pid, resource.RLIMIT_NOFILE, (40, hard))
        with contextlib.ExitStack() as crowd:
            for _ in range(60):
                crowd.enter_context(await channel.connect(sandbox.shim.directory))
            await eventually_async(lambda: len(os.listdir(f"/proc/{sandbox.pid}/fd")) == 40)
            before = ticks(sandbox.pid)
            await anyio.sleep(1)
            assert ticks(sandbox.pid) - before < 20, "it asks again and again whether there is one"
        assert (await sandbox.exec("echo", "served")) == (0, "served\n")
