"""Whatever of the newer kernels is missing, a container starts, is asked, confined, stopped, killed and found again.

Each feature is switched off (`syscalls.missing`), and all of them together: that is Linux 6.1, the floor, and more. What the kernel
says of each (`IN_USE`) shows that the switch forces what is done without it, and that it is in use where nobody throws the switch."""

import contextlib
import ctypes
import os
import platform
import select
import signal
from collections.abc import Awaitable, Callable, Iterator

import anyio
import pytest

from engine import errors, shims
from engine.process import identity, syscalls, wire
from engine.records import shim_records
from orchestrator.command_line import trials
from tests.engine import process_kit
from tests.engine.process_kit import Lab, Sandbox

pytestmark = [pytest.mark.root, pytest.mark.anyio]
EACH = [frozenset({name}) for name in syscalls.FEATURES]
WITHOUT = pytest.mark.parametrize(
    "lab", [*EACH, frozenset(syscalls.FEATURES)], indirect=True, ids=[*syscalls.FEATURES, "all"]
)
MASKED = ("/proc/fs", "/proc/irq", "/proc/keys")


IDS = wire.IdRange(1_000_000_000, 65536)
IN_CLOSE_WRITE, IN_NONBLOCK = 0x8, os.O_NONBLOCK  # linux/inotify.h


# ------------------------------------------------------------------------------------- what is in use, told by the kernel


async def is_known_by_inode(lab: Lab, sandbox: Sandbox) -> bool:
    return (await sandbox.shim.start(lab.spec("sleep", "100"))).identity.inode != 0


async def has_layers_one_by_one(lab: Lab, sandbox: Sandbox) -> bool:
    """The kernel shows the options of a file system as they were given."""
    process = await sandbox.shim.start(lab.spec("sleep", "100"))
    lines = process_kit.read(f"/proc/{process.identity.pid}/mountinfo").splitlines()
    (root,) = [line.split(" - ")[1] for line in lines if line.split()[4] == "/"]
    assert root.startswith("overlay ")
    assert "lowerdir" in root
    return "lowerdir+=" in root


async def mounts_on_what_is_detached(lab: Lab, sandbox: Sandbox) -> bool:
    """Nothing in the engine needs it, so that the fallback is all there is: the switch refuses it to whoever begins to."""
    with switched(lab):
        return trials.DETACHED not in trials.failed(str(lab.directory))


async def is_born_in_its_cgroup(lab: Lab, sandbox: Sandbox) -> bool:
    """Where all stand still, who was cloned into it has not done anything yet; who went there leads a session already."""
    assert lab.cgroups.v2
    frozen = lab.cgroups.v2 / "cgroup.freeze"
    frozen.write_text("1")
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.shim.start, lab.spec("sleep", "100"))
            try:
                events = lab.cgroups.v2 / "cgroup.events"
                await process_kit.eventually_async(
                    lambda: set(events.read_text().splitlines()) >= {"populated 1", "frozen 1"}
                )
                (pid,) = (lab.cgroups.v2 / "cgroup.procs").read_text().split()
                return os.getsid(int(pid)) != int(pid)
            finally:
                frozen.write_text("0")
    finally:
        frozen.write_text("0")


async def is_killed_at_a_stroke(lab: Lab, sandbox: Sandbox) -> bool:
    """Somebody has written to cgroup.kill; where the machine's pids are seen, no end of a first process ends the others."""
    assert lab.cgroups.v2
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(IN_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(lab.cgroups.v2 / "cgroup.kill"), IN_CLOSE_WRITE) >= 0
        script = "trap '' TERM; sleep 100 & echo ready; wait; wait"
        await sandbox.shim.start(lab.spec("sh", "-c", script, namespaces=wire.Namespaces(own_pid=False)))
        await process_kit.eventually_async(lambda: "ready" in lab.output())
        await sandbox.shim.stop("c1", signal.SIGTERM, 0.05)
        assert not lab.cgroups.pids()
        return bool(select.select([watch], [], [], 0)[0])
    finally:
        os.close(watch)


async def has_a_small_init(lab: Lab, sandbox: Sandbox) -> bool:
    process = await sandbox.shim.start(lab.spec("sleep", "100", init=True))
    return "corral-init" in os.readlink(f"/proc/{process.identity.pid}/exe")


async def is_shown_under_its_own_owners(lab: Lab, sandbox: Sandbox) -> bool:
    """Without it a container in a user namespace is refused: nobody changes the owners on the disk."""
    async with lab.sandbox("apart", ids=IDS) as apart:
        spec = lab.spec("sleep", "100", ids=IDS, mounts=(wire.Bind(lab.make("shown"), "/data"),))
        if lab.zygote.missing:
            with pytest.raises(errors.TerminalEngineError, match="cannot be shown under other owners"):
                await apart.shim.start(spec)
            return False
        process = await apart.shim.start(spec)
        mounts = process_kit.read(f"/proc/{process.identity.pid}/mountinfo").splitlines()
        return any("idmapped" in line for line in mounts if line.split()[4] == "/data")


async def gives_pages_back(lab: Lab, sandbox: Sandbox) -> bool:
    """What the zygote had is in a file, as which its shims have it."""
    return "corral-zygote" in process_kit.read(f"/proc/{sandbox.pid}/maps")


IN_USE: dict[str, Callable[[Lab, Sandbox], Awaitable[bool]]] = {
    "pidfs": is_known_by_inode,
    "overlay-api": has_layers_one_by_one,
    "detached-mounts": mounts_on_what_is_detached,
    "clone-into-cgroup": is_born_in_its_cgroup,
    "cgroup-kill": is_killed_at_a_stroke,
    "small-init": has_a_small_init,
    "idmap": is_shown_under_its_own_owners,
    "shared-pages": gives_pages_back,
}
SINCE = {"pidfs": (6, 9), "overlay-api": (6, 7), "detached-mounts": (6, 15)}
NEEDS_X86 = ("small-init", "shared-pages")


@contextlib.contextmanager
def switched(lab: Lab) -> Iterator[None]:
    """This process, too, does without what the lab's zygote does without."""
    syscalls.missing.update(lab.zygote.missing)
    try:
        yield
    finally:
        syscalls.missing.clear()


def has(name: str) -> bool:
    """By the kernel's version, not by our own trials."""
    release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    return release >= SINCE.get(name, (6, 1)) and (name not in NEEDS_X86 or os.uname().machine == "x86_64")


def test_every_switch_has_its_evidence() -> None:
    assert tuple(IN_USE) == syscalls.FEATURES


@pytest.mark.parametrize(
    ("lab", "name"),
    [(missing, name) for name in syscalls.FEATURES for missing in (frozenset(), frozenset({name}))],
    indirect=["lab"],
    ids=[f"{word}-{name}" for name in syscalls.FEATURES for word in ("with", "without")],
)
async def test_a_feature_is_in_use_where_it_is_there_and_its_switch_ends_that(lab: Lab, name: str) -> None:
    async with lab.sandbox() as sandbox:
        assert await IN_USE[name](lab, sandbox) == (has(name) and not lab.zygote.missing)


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
        with switched(lab):
            pidfd = identity.reopen(recorded)
            assert pidfd is not None
            os.close(pidfd)
            assert identity.reopen(recorded._replace(start_time=1, inode=recorded.inode and 1)) is None
            assert identity.reopen(recorded._replace(boot_id="another")) is None
            shim = await shims.adopt(sandbox.shim.directory)
            assert shim is not None
            async with process_kit.running(lab, shim) as again:
                assert await again.exec("true") == (0, "")
