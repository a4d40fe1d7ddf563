# ruff: noqa: ASYNC221, ASYNC240
# Looking at files and processes between two steps is what these tests do; nothing else runs in their loop meanwhile.
"""Who may die, and what lives on: daemon and zygote at any time; with the shim, its sandbox and nothing else."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import anyio
import anyio.lowlevel
import pytest

from engine import channel, errors, shims
from engine.process import frames, identity, wire
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]

OLD = frozenset({"pidfs", "clone-into-cgroup"})


async def test_processes_name_themselves(lab: Lab) -> None:
    async with lab.sandbox("web-1") as sandbox:
        titles = process_kit.processes(str(lab.run_directory))
        assert titles[lab.zygote.pid] == f"corral zygote {lab.run_directory}"
        assert titles[sandbox.pid] == f"corral shim proj/web-1 {lab.run_directory}"
        assert process_kit.status(sandbox.pid)["Name"] == "corral shim"
        listing = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(sandbox.pid)], capture_output=True, text=True, check=True
        )
        assert listing.stdout == f"corral shim proj/web-1 {lab.run_directory}\n"


async def test_zygote_and_shim_run_from_a_sealed_copy_and_are_not_dumpable(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        for pid in (lab.zygote.pid, sandbox.pid):
            assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:corral")
            with pytest.raises(OSError, match=r"Text file busy|not permitted"):
                os.open(f"/proc/{pid}/exe", os.O_RDWR)
            assert process_kit.status(pid)["Threads"] == "1"
            # a process that is not dumpable belongs to root as far as /proc is concerned, and is closed to its own user
            probe = "import os, sys; os.setresuid(0, 0, 0); os.readlink(f'/proc/{sys.argv[1]}/exe')"
            drop = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all", sys.executable, "-c", probe, str(pid)]
            assert "Permission denied" in subprocess.run(drop, capture_output=True, text=True, check=False).stderr
        for pid in (lab.zygote.pid, sandbox.pid):
            assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)} == {"/dev/null"}


async def test_a_zygote_that_dies_takes_no_shim_with_it_and_is_started_again(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        zygote = lab.zygote.pid
        os.kill(zygote, signal.SIGKILL)
        assert await sandbox.exec("true") == (0, "")
        async with lab.sandbox("db") as other:
            assert lab.zygote.pid not in (0, zygote)
            assert (await other.run("true", container="c2")).code == 0
        assert (await sandbox.shim.list()).running


async def test_shims_asked_for_at_once_have_no_descriptors_of_each_other(lab: Lab) -> None:
    """More than messages may wait for the zygote: some are asked for together."""

    def descriptors(pid: int) -> list[str]:
        """What they are of: socket, anon_inode …"""
        links = (os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd"))
        return sorted(link.partition(":")[0] for link in links)

    async with lab.sandbox("alone") as alone:
        wanted, zygotes = descriptors(alone.pid), descriptors(lab.zygote.pid)
        names = [f"s{number}" for number in range(40)]
        made: dict[str, int] = {}

        async def make(name: str) -> None:
            async with lab.sandbox(name) as sandbox:
                made[name] = sandbox.pid
                await process_kit.eventually_async(lambda: descriptors(sandbox.pid) == wanted)
                assert process_kit.processes(str(lab.run_directory))[sandbox.pid].startswith(
                    f"corral shim proj/{name} "
                )

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(make, name)
        assert len(set(made.values())) == len(names)
        assert descriptors(lab.zygote.pid) == zygotes


DAEMON = """
import anyio, json, os, signal, sys
from engine import zygote
from engine.process import frames
async def main():
    run, sandbox, start = json.loads(sys.argv[1])
    shim = await zygote.Zygote(run).fork_shim(frames.decode(sandbox.encode()))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shim.run)
        await shim.start(frames.decode(start.encode()))
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
"""


def run_a_daemon_that_is_killed(lab: Lab, spec: wire.StartSpec) -> str:
    """Give the sandbox directory that it leaves behind."""
    sandbox = lab.sandbox_spec()
    argument = json.dumps([str(lab.run_directory), frames.encode(sandbox).decode(), frames.encode(spec).decode()])
    top = str(pathlib.Path(shims.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", DAEMON, argument], cwd=top, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return sandbox.directory


DAEMON_THAT_DIES_EARLY = """
import anyio, os, signal, sys
from engine import zygote
from engine.process import frames
async def make_ready(spec, pid):
    print(pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
zygote._make_ready = make_ready
anyio.run(zygote.Zygote(sys.argv[1]).fork_shim, frames.decode(sys.argv[2].encode()))
"""


async def test_a_shim_that_is_asked_for_nothing_ends_and_is_never_found(lab: Lab) -> None:
    sandbox = lab.sandbox_spec()
    done = subprocess.run(
        [sys.executable, "-c", DAEMON_THAT_DIES_EARLY, str(lab.run_directory), frames.encode(sandbox).decode()],
        cwd=pathlib.Path(shims.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert await shims.adopt(sandbox.directory) is None
    await process_kit.eventually_async(lambda: not pathlib.Path(f"/proc/{done.stdout.strip()}").exists())


COUNT = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.005; done; exit 9"


async def test_a_daemon_that_dies_loses_no_container_no_line_and_no_exit_code(lab: Lab) -> None:
    directory = run_a_daemon_that_is_killed(lab, lab.spec("sh", "-c", COUNT))
    assert await process_kit.eventually_async(lambda: not process_kit.processes(f"corral zygote {lab.run_directory}"))
    shim = await shims.adopt(directory)
    assert shim is not None
    assert [process.container for process in shim.listing.running] == ["c1"]
    async with process_kit.running(lab, shim) as sandbox:
        assert (await sandbox.exit()).code == 9
        assert lab.output() == "".join(f"line {number}\n" for number in range(1, 201))
        assert await sandbox.shim.stop("c1", signal.SIGTERM, 0) is not None


async def test_an_exit_while_nobody_looks_is_found_at_adoption(lab: Lab) -> None:
    directory = run_a_daemon_that_is_killed(lab, lab.spec("sh", "-c", "sleep 0.1; exit 8"))
    await process_kit.eventually_async(lambda: (lab.directory / "c1/run/exit.json").exists())
    shim = await shims.adopt(directory)
    assert shim is not None
    async with process_kit.running(lab, shim) as sandbox:
        found = shim.listing.ended[0] if shim.listing.ended else await sandbox.exit()  # its record is a moment older
        assert (found.code, found.planned) == (8, False)
        assert (await sandbox.shim.list()).ended == (found,)


@pytest.mark.parametrize("lab", [frozenset(), OLD], indirect=True, ids=["new", "old"])
async def test_a_shim_that_dies_takes_exactly_its_containers_with_it(lab: Lab) -> None:
    async with lab.sandbox() as sandbox, lab.sandbox("db") as other:
        process = await sandbox.shim.start(lab.spec("sleep", "100", init=True, user="ann"))
        survivor = await other.shim.start(lab.spec("sleep", "100", container="c2"))
        os.kill(sandbox.pid, signal.SIGKILL)
        with anyio.fail_after(process_kit.DEADLINE_S):
            assert [found async for found in sandbox.shim.exits()] == []
        await process_kit.eventually_async(lambda: lab.cgroups.pids() == {survivor.identity.pid})
        await process_kit.eventually_async(lambda: not os.path.exists(f"/proc/{process.identity.pid}"))
        assert await shims.adopt(sandbox.shim.directory) is None
        with pytest.raises(shims.ShimGone):
            await sandbox.shim.list()
        # the same sandbox can be made again in the same place, and its container started in it
        async with lab.sandbox() as again:
            assert (await again.run("true")).code == 0


async def test_a_shim_that_does_not_answer_is_ended_with_all_that_is_its(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", "while :; do sleep 1; done", user="ann"))
        os.kill(sandbox.pid, signal.SIGSTOP)
        await shims.end(sandbox.shim.directory, (lab.cgroups.spec,))
        assert not lab.cgroups.pids()
        assert not process_kit.processes("corral shim proj/web " + str(lab.run_directory))
        await shims.end(sandbox.shim.directory, (lab.cgroups.spec,))  # once more is harmless


async def test_a_request_under_way_fails_when_the_shim_dies(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", "trap '' TERM; while :; do sleep 1; done"))
        outcome: list[BaseException] = []

        async def stop() -> None:
            try:
                await sandbox.shim.stop("c1", signal.SIGTERM, 60)
            except errors.EngineError as error:
                outcome.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            await process_kit.eventually_async(
                lambda: b'"planned":true' in (lab.directory / "c1/run/process.json").read_bytes()
            )
            os.kill(sandbox.pid, signal.SIGKILL)
        assert isinstance(outcome[0], shims.ShimGone)


@pytest.mark.parametrize("lab", [frozenset(), OLD], indirect=True, ids=["new", "old"])
async def test_only_the_recorded_process_is_adopted(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        path = pathlib.Path(sandbox.shim.directory, "shim.json")
        recorded = frames.decode(path.read_bytes())
        wrong = [recorded._replace(boot_id="other"), recorded._replace(pid=os.getpid())]
        wrong.append(
            recorded._replace(start_time=1) if "pidfs" in OLD and not recorded.inode else recorded._replace(inode=5)
        )
        for other in wrong:
            path.write_bytes(frames.encode(other))
            with pytest.raises(errors.RecordError, match=f"names another process, and process {recorded.pid} listens"):
                await shims.adopt(sandbox.shim.directory)  # it is not gone: somebody listens
        path.write_bytes(b'{"is":"Identity","pid')
        with pytest.raises(errors.RecordError, match=r"shim\.json"):
            await shims.adopt(sandbox.shim.directory)
        path.unlink()
        with pytest.raises(errors.RecordError, match="is gone, and process"):
            await shims.adopt(sandbox.shim.directory)
        path.write_bytes(frames.encode(recorded))


async def test_a_record_never_has_a_stranger_killed(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        path = pathlib.Path(sandbox.shim.directory, "shim.json")
        recorded = path.read_bytes()
        stranger = subprocess.Popen(["sleep", "1000"])  # noqa: ASYNC220 - it takes a millisecond
        try:
            pidfd = os.pidfd_open(stranger.pid)
            path.write_bytes(frames.encode(identity.of(pidfd, stranger.pid)))
            os.close(pidfd)
            with pytest.raises(errors.RecordError, match="which is no shim"):
                await shims.end(sandbox.shim.directory)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()
        path.write_bytes(recorded)


@pytest.mark.parametrize(
    "body",
    [
        b'{"is":"Hold","key":7}',
        b'{"is":"Hold","key":["a"]}',
        b'{"is":"Stop","container":"c1","number":"TERM","grace_s":1}',
        b'{"is":"Stop","container":"c1","number":999,"grace_s":1}',
        b'{"is":"Stop","container":"c1","number":15,"grace_s":NaN}',
        b'{"is":"Stop","container":"c1","number":15,"grace_s":1e300}',
        b'{"is":"Stop","container":7,"number":15,"grace_s":1}',
        b'{"is":"Signal","container":"c1","number":"x"}',
        b'{"is":"Release","keys":7}',
        b'{"is":"Exec","spec":{"is":"ExecSpec","container":"c1","argv":7}}',
        b'{"is":"Start","spec":{"is":"StartSpec","container":"c2"}}',
        b'{"is":"Nothing"}',
        b'{"is":"SetHostname","hostname":7}',
        b'{"is":"ConfigureInterface","name":"../x","address":"no","prefix_length":-1}',
    ],
)
async def test_a_request_with_one_wrong_leaf_costs_the_container_nothing(lab: Lab, body: bytes) -> None:
    async with lab.sandbox() as sandbox:
        started = await sandbox.shim.start(lab.spec("sh", "-c", "trap '' TERM; sleep 1000"))
        client = await channel.connect(sandbox.shim.directory)
        with client:
            await channel.send_raw(client, frames.answer(1, body))
            with anyio.move_on_after(5):
                await anyio.wait_readable(client)
        listing = await sandbox.shim.list()
        assert listing.running == (started,)
        assert listing.held == ()


async def test_a_grace_of_months_is_waited_for(lab: Lab) -> None:
    """epoll_wait(2) cannot wait for so long at a time."""
    async with lab.sandbox() as sandbox:
        started = await sandbox.shim.start(lab.spec("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.shim.stop, "c1", signal.SIGURG, 1e7)
            await process_kit.eventually_async(
                lambda: b'"planned":true' in (lab.directory / "c1/run/process.json").read_bytes()
            )
            listing = await sandbox.shim.list()
            assert [each.identity for each in listing.running] == [started.identity]
            await sandbox.shim.stop("c1", signal.SIGKILL, 0)


async def test_what_a_shim_says_is_checked(lab: Lab) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    shim = shims.Shim(ours, str(lab.directory), wire.Listing())
    ended = wire.Exit("c1", "r", 0, False, False, 1.0, 2.0)
    for said in (
        b"garbage",
        b"[" * 9999,
        b'{"is":"Frame","number":0,"body":{"is":"Exited","exit":7}}',
        b'{"is":"Nobody"}',
    ):
        theirs.send(said)
    theirs.send(frames.encode(wire.Frame(0, wire.Exited(ended))))
    theirs.close()
    with anyio.fail_after(process_kit.DEADLINE_S):
        await shim.run()
        assert [found async for found in shim.exits()] == [ended]


async def test_a_shim_is_roots_alone_and_its_path_may_be_long(lab: Lab) -> None:
    directory = lab.make("d" * 200, "e" * 200)
    async with lab.sandbox(directory=directory) as sandbox:
        found = os.stat(os.path.join(directory, "shim.sock"))
        assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)
        shim = await shims.adopt(directory)
        assert shim is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shim.run)
            assert (await sandbox.run("true")).code == 0
            with anyio.fail_after(process_kit.DEADLINE_S):
                # everybody who subscribed hears of it
                assert [found.code async for found in first(shim.exits())] == [0]
            tasks.cancel_scope.cancel()


async def first(exits):  # type: ignore[no-untyped-def]
    async for found in exits:
        yield found
        return


async def test_a_client_that_sends_garbage_or_reads_nothing_disturbs_nobody(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        place = os.open(sandbox.shim.directory, os.O_PATH)
        clients = []
        for _ in range(3):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.connect(f"/proc/self/fd/{place}/shim.sock")
            clients.append(client)
        os.close(place)
        clients[0].send(b"garbage")
        clients[1].setblocking(False)
        for _ in range(5000):  # more answers than its queue and its socket hold
            try:
                frames.send(clients[1], wire.Frame(1, wire.List()))
            except OSError:
                break
            await anyio.lowlevel.checkpoint()
        assert (await sandbox.run("true")).code == 0
        clients[2].settimeout(process_kit.DEADLINE_S)
        frames.send(clients[2], wire.Frame(7, wire.Signal("x" * 100_000, 1)))
        answer = frames.receive(clients[2])
        assert answer is not None
        assert isinstance(answer[0].body, wire.Failed)
        for client in clients:
            client.close()


async def test_held_descriptors_stay_open_until_released(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        await sandbox.shim.hold("tcp", [listening.fileno()])
        listening.close()
        assert (await sandbox.shim.list()).held == ("tcp",)
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port))
        await sandbox.shim.release(["tcp", "unknown"])
        socket.create_server(("127.0.0.1", port)).close()


async def test_the_network_namespace_is_its_own_with_lo_up(lab: Lab) -> None:
    async with lab.sandbox(sysctls=(("net.ipv4.ip_default_ttl", "77"),)) as sandbox:
        script = "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/net/ipv6/conf/all/disable_ipv6; cat /proc/net/route | wc -l"
        assert (await sandbox.output("sh", "-c", script)).split() == ["77", "1", "1"]
        assert os.readlink(f"/proc/{sandbox.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        flags = await sandbox.output("cat", "/sys/class/net/lo/flags")
        assert int(flags, 16) & 1
    async with lab.sandbox("host", mode="host") as sandbox:
        assert os.readlink(f"/proc/{sandbox.pid}/ns/net") == os.readlink("/proc/self/ns/net")


@pytest.mark.parametrize("key", ["kernel.core_pattern", "net.ipv4.../kernel/core_pattern", "net.ipv4.a\nb", "net"])
async def test_only_sysctls_of_the_network_are_set(lab: Lab, key: str) -> None:
    with pytest.raises(errors.EngineError, match="cannot make sandbox proj/web: cannot set sysctl"):
        async with lab.sandbox(sysctls=((key, "1"),)):
            pass
    await process_kit.eventually_async(
        lambda: not process_kit.processes("corral shim proj/web " + str(lab.run_directory))
    )


async def test_no_descriptor_leaks_in_the_daemon_or_the_shim(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:

        async def round_trip() -> None:
            await sandbox.run("sh", "-c", "echo x")
            await sandbox.shim.start(lab.spec("sleep", "100", tty=True, stdin_open=True))
            await sandbox.exec("true")
            with await sandbox.shim.exec(wire.ExecSpec("c1", ("true",), tty=True)) as session:
                await session.wait()
            with pytest.raises(errors.EngineError):
                await sandbox.exec("nothing")
            await sandbox.shim.stop("c1", signal.SIGKILL, 0)
            await sandbox.exit()
            with pytest.raises(errors.EngineError):
                await sandbox.shim.start(lab.spec("nothing"))

        await round_trip()
        before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (os.getpid(), sandbox.pid, lab.zygote.pid)]
        for _ in range(5):
            await round_trip()
        after = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (os.getpid(), sandbox.pid, lab.zygote.pid)]
        assert after == before
        assert not process_kit.descendants(sandbox.pid)
