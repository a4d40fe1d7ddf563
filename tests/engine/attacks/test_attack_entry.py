# ruff: noqa: ASYNC240
# Looking at files and processes between two steps is what these tests do; nothing else runs in their loop meanwhile.
"""Attacks on who enters a container: on its start, and on commands that are run in it, by its image and by its own root."""

import os
import pathlib
import signal
import stat
import sys
from collections.abc import Iterator

import anyio
import pytest

from engine import errors
from engine.process import wire
from tests.engine import process_kit
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]

KERNELS_OWN = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/panic")

TRIES_MOST = 1000
"""As many as a race is given to be lost and to be won."""


@pytest.fixture
def host_file() -> Iterator[pathlib.Path]:
    """A path on the machine that no container may make."""
    path = pathlib.Path(f"/corral-attack-{os.getpid()}")
    yield path
    assert not os.path.lexists(path)


@pytest.fixture
def kernels_own() -> Iterator[None]:
    """Settings of this machine's kernel that no container may change."""
    before = [process_kit.read(path) for path in KERNELS_OWN]
    yield
    assert [process_kit.read(path) for path in KERNELS_OWN] == before


def layered(lab: Lab, name: str = "layer") -> tuple[pathlib.Path, wire.Overlay]:
    """An image of a layer of the test's own on busybox."""
    layer = pathlib.Path(lab.make(name))
    return layer, wire.Overlay("/", (str(layer), str(lab.image)), lab.make(f"{name}-u"), lab.make(f"{name}-w"))


def plant(path: pathlib.Path) -> None:
    """A pipe: whoever opens it to read stays there for ever."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


TRAPS = (
    *("etc/nsswitch.conf", "etc/ld.so.cache", "etc/ld.so.preload", "etc/localtime", "etc/host.conf", "etc/gai.conf"),
    *("lib/x86_64-linux-gnu/libnss_files.so.2", "lib/x86_64-linux-gnu/libc.so.6", "usr/lib/libnss_compat.so.2"),
    *("usr/lib/locale/locale-archive", "usr/lib/x86_64-linux-gnu/gconv/gconv-modules", "usr/lib/ssl/openssl.cnf"),
    "usr/share/zoneinfo/UTC",
)


async def test_an_image_with_libraries_of_its_own_gets_none_of_them_loaded_by_us(lab: Lab) -> None:
    """CVE-2019-14271: whoever enters looks a user up, fails, and formats errors, and opens no library, locale or module there."""
    layer, overlay = layered(lab)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    modules = (f"usr/lib/{version}/{name}" for name in sys.stdlib_module_names)
    for trap in (*TRAPS, *(f"{module}.py" for module in modules), f"usr/lib/{version}/encodings/utf_8.py"):
        plant(layer / trap)
    async with lab.sandbox() as sandbox:
        with anyio.fail_after(8):
            await sandbox.shim.start(lab.spec("sleep", "100", user="ann", overlays=(overlay,)))
            for user in ("ann", "ann:audio", "root:wheel", "5:6"):
                assert await sandbox.exec("true", user=user) == (0, "")
            for wrong in (
                {"user": "nobody-there"},
                {"user": "ann:no-group"},
                {"working_dir": "/nowhere/ä"},
                {"user": "\udcff"},
            ):
                with pytest.raises(errors.EngineError):
                    await sandbox.exec("true", **wrong)
            for name in ("/etc/passwd", "/bin/nothing", "nothing-\udcff"):
                with pytest.raises(errors.EngineError):
                    await sandbox.exec(name)


async def test_a_null_device_that_is_a_link_masks_nothing_of_the_attackers(lab: Lab, host_file: pathlib.Path) -> None:
    """CVE-2025-31133: an image, and then its container, put links where /dev/null is, which is what hides files of /proc."""
    layer, overlay = layered(lab)
    for name in ("null", "zero", "tty", "fd"):
        (layer / "dev").mkdir(exist_ok=True)
        (layer / "dev" / name).symlink_to(f"../../../..{host_file}")
    look = "stat -c '%t:%T' /dev/null /proc/keys /proc/timer_list; cat /proc/keys /proc/timer_list | wc -c"
    async with lab.sandbox() as sandbox:
        for number in range(3):
            container = f"c{number}"
            await sandbox.shim.start(lab.spec("sleep", "100", overlays=(overlay,), container=container))
            assert (await sandbox.exec("sh", "-c", look, container=container))[1].split() == ["1:3"] * 3 + ["0"]
            replace = f"rm /dev/null && ln -s {host_file} /dev/null && busybox umount /proc/keys; echo x > /proc/keys"
            await sandbox.exec("sh", "-c", replace, container=container)
            code, text = await sandbox.exec("sh", "-c", "cat /proc/keys /proc/timer_list | wc -c", container=container)
            assert (code, text) == (0, "0\n")
            await sandbox.shim.stop(container, signal.SIGKILL, 0)


@pytest.mark.parametrize("fake", ["link", "file", "pipe", "node"])
async def test_a_terminal_is_never_one_that_the_container_put_there(
    lab: Lab, fake: str, host_file: pathlib.Path
) -> None:
    """CVE-2025-52565: links and nodes where /dev/console, /dev/ptmx and the ptys are looked for, at the start and at an exec."""
    layer, overlay = layered(lab)
    (layer / "dev/pts").mkdir(parents=True)
    (layer / "dev/console").symlink_to(f"../../../..{host_file}")
    (layer / "dev/ptmx").symlink_to(host_file)
    (layer / "dev/pts/0").write_text("")
    volume = pathlib.Path(lab.make("pts"))
    ptmx = volume / "ptmx"
    {
        "link": lambda: ptmx.symlink_to(host_file),
        "file": lambda: ptmx.write_text(""),
        "pipe": lambda: os.mkfifo(ptmx),
        "node": lambda: os.mknod(ptmx, stat.S_IFCHR | 0o666, os.makedev(5, 2)),
    }[fake]()
    async with lab.sandbox() as sandbox:
        text = await sandbox.output("sh", "-c", "tty; stat -c %t:%T /dev/console", tty=True, overlays=(overlay,))
        assert text.split() == ["/dev/pts/0", "88:0"]
        mounts = (wire.Bind(str(volume), "/dev/pts"),)
        await sandbox.shim.start(lab.spec("sleep", "100", overlays=(overlay,), mounts=mounts))
        with anyio.fail_after(5), pytest.raises(errors.EngineError):
            await sandbox.exec("true", tty=True)
        assert await sandbox.exec("true") == (0, "")


@pytest.mark.parametrize("place", ["/proc/sys/kernel", "/proc/self", "/proc/1/ns", "/sys/kernel"])
async def test_a_neighbour_who_leads_a_mount_into_proc_wins_nothing(lab: Lab, kernels_own: None, place: str) -> None:
    """CVE-2025-52881: a directory of a shared volume is exchanged for a link into /proc while a container is started that
    mounts something below it: nothing of /proc is covered, and nothing that is written for a container lands elsewhere."""
    shared = lab.make("shared")
    names = ("core_pattern", "attr", "mnt", "mm")
    sources = {name: lab.make("sources", name) for name in names}
    (lab.directory / "file").write_text("|/attacker")
    flip = f"cd /s; mkdir x; while :; do mv x y; ln -s {place} x; rm x; mv y x; done 2>/dev/null"
    won = lost = 0
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", flip, container="racer", mounts=(wire.Bind(shared, "/s"),)))
        for number in range(TRIES_MOST):
            if number >= 12 and won and lost:
                break
            mounts = (
                wire.Bind(shared, "/s"),
                wire.Bind(str(lab.directory / "file"), "/s/x/core_pattern"),
                *(wire.Bind(sources[name], f"/s/x/{name}") for name in names[1:]),
                wire.Tmpfs(f"/s/x/new{number}"),
            )
            try:
                text = await sandbox.output("cat", "/proc/self/mountinfo", mounts=mounts)
            except errors.EngineError:
                lost += 1  # which is no harm: it met the link, or nothing
                continue
            won += 1
            covered = {line.split()[4] for line in text.splitlines() if line.split()[4].startswith(f"{place}/")}
            assert not {target for target in covered if target.rpartition("/")[2] in (*names, f"new{number}")}
        assert [process.container for process in (await sandbox.shim.list()).running] == ["racer"]
        await sandbox.shim.stop("racer", signal.SIGKILL, 0)
    assert won, "who meets the directory starts"
    assert lost, "and some did not"


async def test_links_in_a_volume_lead_nothing_that_we_write_out_of_the_container(
    lab: Lab, host_file: pathlib.Path
) -> None:
    """CVE-2025-9566: a volume over /etc in which the names that we put there are links to the machine's files."""
    volume = pathlib.Path(lab.make("volume"))
    ours = lab.directory / "hosts"
    ours.write_text("from-us\n")
    for name in ("hosts", "resolv.conf", "mtab"):
        (volume / name).symlink_to(f"../../../../../..{host_file}")
    (volume / "passwd").symlink_to("../../../../../../etc/shadow")
    files = tuple(wire.Bind(str(ours), f"/etc/{name}") for name in ("hosts", "resolv.conf"))
    async with lab.sandbox() as sandbox:
        text = await sandbox.output("cat", "/etc/hosts", mounts=(wire.Bind(str(volume), "/etc"),), files=files)
        assert text == "from-us\n"
    assert sorted(os.listdir(volume)) == ["hosts", "mtab", "passwd", "resolv.conf"]
    assert all((volume / name).is_symlink() for name in os.listdir(volume))


STOPPER = 'while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || kill -STOP "${p#/proc/}"; done; done 2>/dev/null'


async def test_who_is_stopped_while_entering_is_given_up_with_its_caller(lab: Lab) -> None:
    """A container that stops every process that appears in it, as its root may: a probe a second must not leave a process a
    second behind, outside of every limit of the container's."""
    async with lab.sandbox() as sandbox:
        process = await sandbox.shim.start(lab.spec("sh", "-c", STOPPER))
        for _ in range(12):
            with anyio.move_on_after(0.25):
                await sandbox.exec("true")
        await process_kit.eventually_async(lambda: process_kit.descendants(sandbox.pid) == {process.identity.pid})


async def test_nothing_outlives_its_container(lab: Lab) -> None:
    """Daemons that left every session and ignore every signal, begun by the program and by an exec, stopped ones among them."""
    hide = "busybox setsid sh -c \"trap '' TERM HUP INT; while :; do sleep 1; done\""
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(
            lab.spec("sh", "-c", f"trap '' TERM; ({hide} &); ({hide} &); while :; do sleep 1; done")
        )
        await sandbox.exec("sh", "-c", f"({hide} >/dev/null 2>&1 </dev/null &); exit 0")
        (await sandbox.shim.exec(wire.ExecSpec("c1", ("sh", "-c", hide), detached=True))).close()
        await process_kit.eventually_async(lambda: len(lab.cgroups.pids()) >= 7)
        inner = lab.cgroups.pids()
        os.kill(max(inner), signal.SIGSTOP)
        found = await sandbox.shim.stop("c1", signal.SIGTERM, 0.2)
        assert found is not None
        assert not lab.cgroups.pids()
        assert not {pid for pid in inner if os.path.exists(f"/proc/{pid}")}
        assert not process_kit.descendants(sandbox.pid)
