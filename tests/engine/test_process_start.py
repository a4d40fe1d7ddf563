"""From a StartSpec to a running program, its output and its exit."""

import os
import pathlib
import signal
import stat

import pytest

from engine import errors, inside
from engine.process import namespaces, wire
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]


async def test_a_program_runs_and_its_exit_code_and_output_are_recorded(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        found = await sandbox.run("sh", "-c", "echo to-out; echo to-err >&2; printf rest; exit 3")
    assert (found.code, found.planned, found.oom) == (3, False, False)
    assert found.started_at <= found.ended_at
    assert lab.output(stream="stdout") == "to-out\nrest"
    assert lab.output(stream="stderr") == "to-err\n"
    assert (lab.directory / "c1/run/exit.json").exists()


async def test_a_signal_that_ends_it_is_128_and_its_number(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done"))
        await process_kit.eventually_async(lab.output)
        await sandbox.shim.signal("c1", signal.SIGUSR1)
        assert (await sandbox.exit()).code == 7
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        os.kill(process.identity.pid, signal.SIGKILL)
        assert (await sandbox.exit()).code == 137


async def test_the_same_container_can_run_again_with_its_writable_layer(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.run("sh", "-c", "echo kept > /tmp/file")
        await sandbox.run("cat", "/tmp/file")
    assert lab.output() == "kept\n"
    assert not (lab.image / "tmp/file").exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("nothing-like-it",), "cannot run nothing-like-it: no such program in its PATH"),
        (("/bin/nothing",), "cannot run /bin/nothing: there is no such file in the container"),
        (("/tmp",), "cannot run /tmp: it is a directory"),
        (("/etc/passwd",), "cannot run /etc/passwd: it is not executable"),
        (("/image/script",), "the interpreter it names is missing: /no/such/interpreter -x"),
        (("/image/garbage",), "not a program that this machine can execute"),
        (("/proc/self/exe",), "cannot run /proc/self/exe"),
        (("/image/magic",), "cannot run /image/magic"),
    ],
)
async def test_what_cannot_be_executed_is_said_with_its_name(lab: Lab, argv: tuple[str, ...], words: str) -> None:
    layer = pathlib.Path(lab.make("layer", "image"))
    (layer / "script").write_text("#!/no/such/interpreter -x\n")
    (layer / "garbage").write_bytes(b"\x01\x02\x03")
    for name in ("script", "garbage"):
        (layer / name).chmod(0o755)
    (layer / "magic").symlink_to("/proc/self/exe")
    overlay = wire.Overlay("/", (str(layer.parent), str(lab.image)), lab.make("u"), lab.make("w"))
    async with lab.sandbox() as sandbox:
        with pytest.raises(errors.TerminalEngineError) as caught:
            await sandbox.shim.start(lab.spec(*argv, overlays=(overlay,)))
        assert words in str(caught.value)
        assert await sandbox.shim.list() == wire.Listing()
        assert not process_kit.descendants(sandbox.pid)
    assert not (lab.directory / "c1/run/process.json").exists()


async def test_the_environment_has_path_home_hostname_and_what_was_asked(lab: Lab) -> None:
    async with lab.sandbox("db") as sandbox:
        text = await sandbox.output("env", environment=(("A", "ä b"), ("PATH", "/x:/bin")), user="ann")
    lines = set(text.splitlines())
    assert {"A=ä b", "PATH=/x:/bin", "HOME=/home/ann", "HOSTNAME=db"} <= lines
    assert not [line for line in lines if line.startswith("TERM=")]
    assert str(lab.directory) not in text


async def test_the_user_has_exactly_the_groups_of_the_image(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100", user="ann"))
        found = process_kit.status(process.identity.pid)
        assert (found["Uid"].split(), found["Gid"].split()) == (["1000"] * 4, ["1001"] * 4)
        assert sorted(found["Groups"].split()) == ["10", "1001", "29"]
        await sandbox.shim.stop("c1", signal.SIGKILL, 0)
        process = await sandbox.shim.start(lab.spec("sleep", "100", user="4294967294:77"))
        found = process_kit.status(process.identity.pid)
        assert (found["Uid"].split()[0], found["Gid"].split()[0], found["Groups"]) == ("4294967294", "77", "77")


@pytest.mark.parametrize("user", ["nobody-there", "4294967295", "-1", " 0", "1:", "ann:nogroup", "0:4294967295"])
async def test_a_user_that_cannot_be_is_refused(lab: Lab, user: str) -> None:
    async with lab.sandbox() as sandbox:
        with pytest.raises(errors.TerminalEngineError, match="cannot run as user"):
            await sandbox.shim.start(lab.spec("true", user=user))


async def test_a_passwd_that_is_a_pipe_or_huge_is_refused_and_not_waited_for(lab: Lab) -> None:
    layer = pathlib.Path(lab.make("layer", "etc"))
    overlay = wire.Overlay("/", (str(layer.parent), str(lab.image)), lab.make("u"), lab.make("w"))
    async with lab.sandbox() as sandbox:
        os.mkfifo(layer / "passwd")
        with pytest.raises(errors.TerminalEngineError, match="is not a regular file"):
            await sandbox.shim.start(lab.spec("true", user="ann", overlays=(overlay,)))
        (layer / "passwd").unlink()
        with (layer / "passwd").open("wb") as file:
            file.truncate(2 << 20)
        with pytest.raises(errors.TerminalEngineError, match="larger than"):
            await sandbox.shim.start(lab.spec("true", user="ann", overlays=(overlay,)))


async def test_the_working_directory_is_made_and_a_magic_one_refused(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        assert await sandbox.output("pwd", working_dir="/some/new/place") == "/some/new/place\n"
        for number in range(3, 30):
            with pytest.raises(errors.EngineError):
                await sandbox.shim.start(lab.spec("pwd", working_dir=f"/proc/self/fd/{number}"))


async def test_capabilities_are_dockers_and_nothing_is_inheritable(lab: Lab) -> None:
    dockers = 0xA80425FB  # capsh --decode in a container of Docker's
    ours = int(process_kit.status(os.getpid())["CapPrm"], 16)
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        found = process_kit.status(process.identity.pid)
        for name in ("CapPrm", "CapEff", "CapBnd"):
            assert int(found[name], 16) == dockers & ours, name
        assert (int(found["CapInh"], 16), int(found["CapAmb"], 16)) == (0, 0)
        await sandbox.shim.stop("c1", signal.SIGKILL, 0)
        process = await sandbox.shim.start(lab.spec("sleep", "100", user="ann"))
        found = process_kit.status(process.identity.pid)
        assert [int(found[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == [0, 0, 0, 0]


@pytest.mark.parametrize("no_new_privileges", [False, True])
async def test_a_seccomp_filter_is_loaded_with_and_without_no_new_privileges(lab: Lab, no_new_privileges: bool) -> None:
    allow_all = (
        (0x06).to_bytes(2, "little") + bytes(2) + (0x7FFF0000).to_bytes(4, "little")
    )  # BPF_RET, SECCOMP_RET_ALLOW
    (lab.directory / "filter").write_bytes(allow_all)
    confinement = wire.Confinement(no_new_privileges=no_new_privileges, seccomp_path=str(lab.directory / "filter"))
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100", user="ann", confinement=confinement))
        found = process_kit.status(process.identity.pid)
        assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", "01"[no_new_privileges])


async def test_no_descriptor_of_ours_reaches_the_program(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        await sandbox.shim.hold("port", (0,))
        for changes in ({}, {"tty": True}, {"init": True}, {"stdin_open": True}):
            process = await sandbox.shim.start(lab.spec("sleep", "100", **changes))
            for pid in {process.identity.pid} | process_kit.descendants(process.identity.pid):
                # an init has the program that it becomes open for a moment
                await process_kit.eventually_async(lambda pid=pid: sorted(os.listdir(f"/proc/{pid}/fd")) == list("012"))
            await sandbox.shim.stop("c1", signal.SIGKILL, 0)


async def test_stdin_is_null_or_a_pipe_that_stays_open(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        found = os.stat(f"/proc/{process.identity.pid}/fd/0")
        assert stat.S_ISCHR(found.st_mode)
        assert found.st_rdev == os.makedev(1, 3)
        await sandbox.shim.stop("c1", signal.SIGKILL, 0)
        process = await sandbox.shim.start(lab.spec("cat", stdin_open=True))
        assert os.readlink(f"/proc/{process.identity.pid}/fd/0").startswith("pipe:")
        assert (await sandbox.shim.list()).running


async def test_a_user_who_is_not_root_may_open_its_own_streams(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        assert await sandbox.output("sh", "-c", "echo a > /dev/stdout; echo b > /dev/stderr", user="ann") == "a\nb\n"


async def test_a_tty_is_a_pty_of_the_containers_own(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        script = "tty; test -t 0 && test -t 1 && test -t 2 && stat -c %t:%T /dev/console; echo $TERM; echo x > /dev/tty"
        text = await sandbox.output("sh", "-c", script, tty=True)
    assert text.replace("\r", "").splitlines() == ["/dev/pts/0", "88:0", "xterm", "x"]


@pytest.mark.parametrize("lab", [frozenset(), frozenset({"small-init"})], ids=["", "python"], indirect=True)
async def test_init_reaps_forwards_signals_and_ends_as_the_program_does(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        script = "trap 'exit 9' TERM; (sleep 0.01 & ) ; echo $$; while :; do sleep 0.01; done"
        process = await sandbox.shim.start(lab.spec("sh", "-c", script, init=True, user="ann"))
        assert (await process_kit.eventually_async(lab.output)) == "2\n"
        pid = process.identity.pid
        assert process_kit.processes("corral init sh")[pid] == "corral init sh"
        assert process_kit.status(pid)["Uid"].split()[0] == "1000"
        is_small = int(process_kit.status(pid)["VmRSS"].split()[0]) < 100
        assert is_small == (lab.zygote.missing == frozenset() and os.uname().machine == "x86_64")
        await process_kit.eventually_async(
            lambda: not [child for child in process_kit.descendants(pid) if process_kit.is_zombie(child)]
        )
        await sandbox.shim.signal("c1", signal.SIGTERM)
        assert (await sandbox.exit()).code == 9
        assert (await sandbox.run("sh", "-c", "kill -SEGV $$", init=True)).code == 139


async def test_it_is_in_its_cgroups_and_sees_them_as_roots(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        assert lab.cgroups.pids() == {process.identity.pid}
        entered = [
            line.split(":", 2)[2] for line in process_kit.read(f"/proc/{process.identity.pid}/cgroup").splitlines()
        ]
        assert sum("corral-test" in path for path in entered) == len(lab.cgroups.v1) + (lab.cgroups.v2 is not None)
        code, text = await sandbox.exec(
            "sh",
            "-c",
            "cat /proc/self/cgroup; touch /sys/fs/cgroup/memory/x /sys/fs/cgroup/unified/x /sys/fs/cgroup/x 2>&1",
        )
        assert code == 1
        assert "corral-test" not in text
        assert "Read-only file system" in text


async def test_an_end_for_lack_of_memory_is_told(lab: Lab) -> None:
    directories = [it for it in (*lab.cgroups.v1, lab.cgroups.v2) if it]
    files = (("memory.limit_in_bytes", "memory.oom_control"), ("memory.max", "memory.events"))
    pairs = [(it / limit, it / counter) for it in directories for limit, counter in files if (it / limit).exists()]
    if not pairs:
        pytest.skip("no memory controller here")
    pairs[0][0].write_text(str(24 << 20))
    counters = (wire.OomCounter(str(pairs[0][1])),)
    async with lab.sandbox() as sandbox:
        hungry = ("dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
        found = await sandbox.run(*hungry, oom_counters=counters)
        assert (found.code, found.oom) == (137, True)
        found = await sandbox.run("true", oom_counters=counters)
        assert (found.code, found.oom) == (0, False)


async def test_hostname_and_domainname_are_the_sandboxes_and_can_change(lab: Lab) -> None:
    async with lab.sandbox(domainname="lab.example") as sandbox:
        await sandbox.shim.start(lab.spec("sleep", "100"))
        read = ("cat", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname")
        assert await sandbox.exec(*read) == (0, "web\nlab.example\n")
        await inside.act(sandbox.shim.directory, inside.NAMES, lambda: namespaces.name("other", "net"))
        assert await sandbox.exec(*read) == (0, "other\nnet\n")
        assert process_kit.read("/proc/sys/kernel/hostname") != "other\n"


async def test_signals_that_the_daemon_ignores_are_not_ignored_by_the_program(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sleep", "100"))
        found = process_kit.status(process.identity.pid)
        assert [int(found[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]


async def test_limits_umask_and_oom_score_are_the_defaults(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        confinement = wire.Confinement(rlimits=(("CORE", 0, 0), ("NOFILE", 2000, 3000)), oom_score_adj=7)
        process = await sandbox.shim.start(lab.spec("sleep", "100", confinement=confinement))
        limits = process_kit.read(f"/proc/{process.identity.pid}/limits")
        assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [
            ["2000", "3000"]
        ]
        assert process_kit.read(f"/proc/{process.identity.pid}/oom_score_adj") == "7\n"
        assert process_kit.status(process.identity.pid)["Umask"] == "0022"
        with pytest.raises(errors.TerminalEngineError, match="cannot limit NOFILE"):
            await sandbox.shim.start(
                lab.spec("true", container="c2", confinement=wire.Confinement(rlimits=(("NOFILE", 9, 1 << 40),)))
            )
