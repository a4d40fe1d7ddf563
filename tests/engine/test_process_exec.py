"""Commands in a running container."""

import os
import signal

import anyio
import pytest

from engine import errors
from engine.process import wire
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]


async def test_a_command_sees_what_the_container_sees(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100", environment=(("A", "1"),), working_dir="/tmp"))
        code, text = await sandbox.exec(
            "sh", "-c", "echo $A $B $HOSTNAME; pwd; ps -o pid,args; exit 5", environment=(("B", "2"),)
        )
        assert code == 5
        assert text.splitlines()[:2] == ["1 2 web", "/tmp"]
        assert "1 sleep 100" in text
        mine = {
            os.readlink(f"/proc/{process.identity.pid}/ns/{kind}")
            for kind in ("mnt", "pid", "ipc", "net", "uts", "cgroup")
        }
        code, text = await sandbox.exec(
            "sh", "-c", "for n in mnt pid ipc net uts cgroup; do readlink /proc/self/ns/$n; done"
        )
        assert set(text.split()) == mine


async def test_it_is_confined_as_the_container_is(lab: Lab) -> None:
    allow_all = (
        (0x06).to_bytes(2, "little") + bytes(2) + (0x7FFF0000).to_bytes(4, "little")
    )  # BPF_RET, SECCOMP_RET_ALLOW
    (lab.directory / "filter").write_bytes(allow_all)
    confinement = wire.Confinement(seccomp_path=str(lab.directory / "filter"), rlimits=(("CORE", 0, 0),))
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100", confinement=confinement))
        with await sandbox.shim.exec(wire.ExecSpec("c1", ("sleep", "50"))) as session:
            first, second = process_kit.status(process.identity.pid), process_kit.status(session.pid)
            for name in (
                "CapInh",
                "CapPrm",
                "CapEff",
                "CapBnd",
                "CapAmb",
                "Seccomp",
                "NoNewPrivs",
                "Uid",
                "Groups",
                "SigIgn",
            ):
                assert first[name] == second[name], name
            assert lab.cgroups.pids() == {process.identity.pid, session.pid}
            assert sorted(os.listdir(f"/proc/{session.pid}/fd")) == ["0", "1", "2"]


async def test_user_and_working_directory_can_be_others(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        assert await sandbox.exec("sh", "-c", "id; pwd; echo $HOME", user="ann", working_dir="/etc") == (
            0,
            "uid=1000(ann) gid=1001(ann) groups=10(wheel),29(audio),1001(ann)\n/etc\n/home/ann\n",
        )
        with pytest.raises(errors.TerminalEngineError, match="cannot use working directory /none"):
            await sandbox.exec("true", working_dir="/none")
        for number in range(3, 30):
            with pytest.raises(errors.EngineError):
                await sandbox.exec("true", working_dir=f"/proc/self/fd/{number}")


async def test_three_pipes_carry_input_output_and_errors(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        with await sandbox.shim.exec(wire.ExecSpec("c1", ("sh", "-c", "cat; echo e >&2"))) as session:
            stdin, stdout, stderr = session.descriptors
            os.write(stdin, b"in")
            os.close(stdin)
            session.descriptors = [stdout, stderr]
            assert (await process_kit.read_all(stdout), await process_kit.read_all(stderr)) == (b"in", b"e\n")
            assert await session.wait() == 0


async def test_a_terminal_of_its_own(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100", tty=True))
        with await sandbox.shim.exec(
            wire.ExecSpec("c1", ("sh", "-c", "tty; test -t 0 && echo $TERM"), tty=True)
        ) as session:
            (master,) = session.descriptors
            assert await process_kit.read_all(master) == b"/dev/pts/1\r\nxterm\r\n"
            assert await session.wait() == 0


async def test_what_cannot_run_is_said(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        with pytest.raises(errors.EngineError, match="it is not running"):
            await sandbox.exec("true")
        await sandbox.shim.start(lab.spec("sleep", "100"))
        with pytest.raises(errors.TerminalEngineError, match="cannot run nothing: no such program in its PATH"):
            await sandbox.exec("nothing")
        with pytest.raises(errors.TerminalEngineError, match="cannot run as user 'x'"):
            await sandbox.exec("true", user="x")
        assert await sandbox.exec("true") == (0, "")


async def test_a_command_can_be_signalled_with_its_group(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        with await sandbox.shim.exec(wire.ExecSpec("c1", ("sh", "-c", "sleep 60; true"))) as session:
            await process_kit.eventually_async(lambda: process_kit.descendants(session.pid))
            await session.signal(signal.SIGKILL)
            assert await session.wait() == 137
            await process_kit.eventually_async(lambda: len(lab.cgroups.pids()) == 1)


@pytest.mark.parametrize("tty", [False, True])
async def test_a_client_that_leaves_ends_its_command(lab: Lab, tty: bool) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        session = await sandbox.shim.exec(wire.ExecSpec("c1", ("sh", "-c", "sleep 60; true"), tty=tty))
        await process_kit.eventually_async(lambda: len(lab.cgroups.pids()) == 3)
        session.close()
        await process_kit.eventually_async(lambda: len(lab.cgroups.pids()) == 1)


async def test_a_detached_command_goes_on(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        (await sandbox.shim.exec(wire.ExecSpec("c1", ("sleep", "60"), detached=True))).close()
        assert await sandbox.exec("true") == (0, "")  # the shim has seen the other connection close
        assert len(lab.cgroups.pids()) == 2


async def test_many_commands_at_once_and_one_client_that_reads_nothing(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        codes = []
        with await sandbox.shim.exec(wire.ExecSpec("c1", ("yes",))):  # its pipe is full at once

            async def one(number: int) -> None:
                codes.append((await sandbox.exec("sh", "-c", f"exit {number}"))[0])

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(one, number)
        assert sorted(codes) == list(range(20))


async def test_the_containers_end_ends_its_commands(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        with await sandbox.shim.exec(wire.ExecSpec("c1", ("sleep", "60"))) as session:
            await sandbox.shim.stop("c1", signal.SIGTERM, 0)
            assert await session.wait() == 137


async def test_a_command_can_join_a_cgroup_that_was_killed_before(lab: Lab) -> None:
    if lab.cgroups.v2 is None:
        pytest.skip("no cgroup v2 here")
    (lab.cgroups.v2 / "cgroup.kill").write_text("1")
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        assert await sandbox.exec("true") == (0, "")
        assert lab.cgroups.v2.name in process_kit.read(f"/proc/{process.identity.pid}/cgroup")


SPY = """
i=0
while [ $i -lt 40 ]; do
  i=$((i+1))
  for p in /proc/[0-9]*; do
    readlink $p/exe $p/cwd $p/root
    head -c 4 $p/exe > /dev/null && echo could-open-exe
    tr '\\0' '\\n' < $p/environ | grep -v -E '^(HOME|PATH|HOSTNAME|SHLVL|PWD)='
  done
done 2>/dev/null | grep -v -x -E '/|/bin/busybox|could-open-exe' | sort | uniq
"""


async def test_the_process_that_becomes_a_command_shows_nothing_of_the_machine(lab: Lab) -> None:
    """CVE-2019-5736: it is inside for a moment, before its execve; its executable, environment, descriptors and directories are
    not for the container's root."""
    count = 0
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", SPY))
        while (await sandbox.shim.list()).running:
            try:
                await sandbox.exec("true")
                count += 1
            except errors.EngineError:
                break  # the container ended meanwhile
    assert count > 5
    assert lab.output() == ""
