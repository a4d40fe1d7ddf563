"""A sandbox with a user namespace: whoever is root in its containers is nobody outside, and finds everything as if he were not."""

import os
import pathlib
import signal
from typing import Any

import pytest

from engine import errors
from engine.process import wire
from tests.engine import process_kit
from tests.engine.process_kit import Lab, Sandbox, eventually

pytestmark = [pytest.mark.root, pytest.mark.anyio]
IDS = wire.IdRange(0x70000000, 65536)
FIRST = IDS.first
ALL = (*wire.DOCKER_CAPABILITIES, "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE", "DAC_READ_SEARCH")


def owned(lab: Lab, *argv: str, container: str = "c1", **changes: Any) -> wire.StartSpec:
    """As the daemon prepares it: the writable layer has the owner on the disk."""
    spec = lab.spec(*argv, container=container, ids=IDS, **changes)
    for overlay in spec.overlays:
        os.chown(overlay.upper, FIRST, FIRST)
    return spec


async def output(sandbox: Sandbox, script: str, container: str = "c1", **changes: Any) -> str:
    await sandbox.shim.start(owned(sandbox.lab, "sh", "-c", script, container=container, **changes))
    ended = await sandbox.exit()
    text = sandbox.lab.output(container)
    assert ended.code == 0, text
    return text


def ids_of(pid: int) -> set[int]:
    status = process_kit.status(pid)
    return {int(number) for key in ("Uid", "Gid") for number in status[key].split()}


def namespace(pid: int, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")


async def test_root_inside_is_nobody_outside(lab: Lab) -> None:
    async with lab.sandbox(ids=IDS) as sandbox:
        process = await sandbox.shim.start(
            owned(lab, "sh", "-c", "id -u; id -g; cat /proc/self/uid_map; exec sleep 100")
        )
        pid = process.identity.pid
        assert ids_of(pid) == {FIRST}
        assert process_kit.read(f"/proc/{pid}/uid_map").split() == ["0", str(FIRST), "65536"]
        assert process_kit.read(f"/proc/{pid}/gid_map").split() == ["0", str(FIRST), "65536"]
        assert namespace(pid, "user") != namespace(os.getpid(), "user")
        assert namespace(sandbox.pid, "user") == namespace(os.getpid(), "user")
        for kind in ("net", "uts"):
            assert namespace(pid, kind) == namespace(sandbox.pid, kind) != namespace(os.getpid(), kind)
        eventually(lambda: lab.output().split()[:2] == ["0", "0"])
        assert (await sandbox.exec("id", "-u")) == (0, "0\n")
        code, text = await sandbox.exec(
            "sh", "-c", "cat /proc/self/uid_map; readlink /proc/self/ns/user; ls -l /proc/1/exe"
        )
        assert code == 0
        assert text.split()[:3] == ["0", str(FIRST), "65536"]
        assert namespace(pid, "user") in text
        found = await sandbox.shim.stop("c1", signal.SIGKILL, 0)
        assert found is not None
        assert found.code == 137


async def test_files_keep_their_owners_on_the_disk(lab: Lab) -> None:
    volume, bound = pathlib.Path(lab.make("volume", "_data")), pathlib.Path(lab.make("bound"))
    (bound / "roots").write_text("x")
    (bound / "anns").write_text("x")
    os.chown(bound / "anns", 1000, 1001)
    mounts = (wire.Volume(str(volume), "/data"), wire.Bind(str(bound), "/bound"), wire.Tmpfs("/mem", uid=5, gid=6))
    script = (
        "echo a > /data/new; chown 1000:1001 /data/new; echo b > /data/root; stat -c '%n %u %g' /data /bound/* /mem /bin/busybox /;"
        " echo c > /etc/mine; echo d >> /etc/passwd; mkdir /bound/dir; stat -c '%u' /etc/mine /etc/passwd; rm /bin/true"
    )
    async with lab.sandbox(ids=IDS) as sandbox:
        text = await output(sandbox, script, mounts=mounts)
    assert text.splitlines() == [
        *("/data 0 0", "/bound/anns 1000 1001", "/bound/roots 0 0", "/mem 5 6", "/bin/busybox 0 0", "/ 0 0", "0", "0")
    ]
    assert (os.stat(volume / "new").st_uid, os.stat(volume / "new").st_gid) == (1000, 1001)
    assert os.stat(volume / "root").st_uid == os.stat(bound / "dir").st_uid == 0
    assert os.stat(lab.directory / "c1/upper/etc/mine").st_uid == FIRST


async def test_an_empty_volume_is_filled_with_what_the_image_has_under_its_owners(lab: Lab) -> None:
    layer = pathlib.Path(lab.make("layer"))
    (layer / "data").mkdir()
    (layer / "data/anns").write_text("x")
    os.chown(layer / "data/anns", 1000, 1001)
    overlay = wire.Overlay("/", (str(layer), str(lab.image)), lab.make("l-u"), lab.make("l-w"))
    volume = pathlib.Path(lab.make("volume", "_data"))
    async with lab.sandbox(ids=IDS) as sandbox:
        mounts = (wire.Volume(str(volume), "/data", read_only=True),)
        text = await output(
            sandbox, "stat -c '%u %g' /data/anns; touch /data/x 2>&1; true", mounts=mounts, overlays=(overlay,)
        )
    assert text.splitlines()[0] == "1000 1001"
    assert "Read-only" in text
    assert (os.stat(volume / "anns").st_uid, os.stat(volume / "anns").st_gid) == (1000, 1001)
    assert os.listdir(volume.parent) == ["_data"]


async def test_what_the_kernel_provides_is_there(lab: Lab) -> None:
    script = (
        "ls -l /dev/null | cut -c1; echo x > /dev/null; echo out > /dev/stdout; echo err > /dev/stderr;"
        " echo shm > /dev/shm/x; ls -d /dev/mqueue /sys/class/net/lo /proc/self; mkdir /dev/mine; stat -c %u /dev /dev/pts /dev/shm"
        " /proc/1; ls -A /sys/fs/cgroup | wc -l; cat /proc/self/mountinfo | grep -c ' / / '; hostname; ls -l /proc/self/fd/0"
    )
    async with lab.sandbox(ids=IDS) as sandbox:
        text = await output(sandbox, script)
        assert "err" in text.splitlines()
        lines = lab.output(stream="stdout").splitlines()
    assert lines[:2] == ["c", "out"]
    assert set(lines[2:5]) == {"/dev/mqueue", "/proc/self", "/sys/class/net/lo"}
    assert lines[5:9] == ["0", "0", "0", "0"]
    assert int(lines[9]) > 0
    assert lines[10] == "1"
    assert lines[11] == "web"


async def test_another_user_may_reopen_its_output(lab: Lab) -> None:
    async with lab.sandbox(ids=IDS) as sandbox:
        text = await output(sandbox, "id -u; echo again > /dev/stdout; echo more > /proc/self/fd/2", user="ann")
        assert text.splitlines() == ["1000", "again", "more"]
        await sandbox.shim.start(owned(lab, "sleep", "100", container="c2"))
        code, text = await sandbox.exec("sh", "-c", "id -u; echo again > /dev/stdout", container="c2", user="ann")
        assert (code, text) == (0, "1000\nagain\n")


async def test_a_terminal_works(lab: Lab) -> None:
    async with lab.sandbox(ids=IDS) as sandbox:
        await sandbox.shim.start(
            owned(lab, "sh", "-c", "tty; test -t 0 && echo yes; echo x > /dev/console; exec sleep 100", tty=True)
        )
        eventually(lambda: lab.output().split() == ["/dev/pts/0", "yes", "x"])
        with await sandbox.shim.exec(
            wire.ExecSpec("c1", ("sh", "-c", "tty; test -t 0 && echo yes"), tty=True)
        ) as session:
            text = await process_kit.read_all(session.descriptors[0])
            assert text.split() == [b"/dev/pts/1", b"yes"]
            assert await session.wait() == 0


async def test_sysctls_of_its_namespaces_can_be_set(lab: Lab) -> None:
    sysctls = (("net.ipv4.tcp_syncookies", "0"),)
    async with lab.sandbox(ids=IDS, sysctls=sysctls) as sandbox:
        text = await output(
            sandbox,
            "cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max;"
            " cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
            sysctls=(("fs.mqueue.msg_max", "17"), ("kernel.shmmax", "4194304")),
        )
    assert text.split() == ["0", "4194304", "17", "0"]


async def test_limits_are_those_of_the_machine(lab: Lab) -> None:
    confinement = wire.Confinement(rlimits=(("NOFILE", 77, 88),), oom_score_adj=500)
    async with lab.sandbox(ids=IDS) as sandbox:
        process = await sandbox.shim.start(owned(lab, "sleep", "100", confinement=confinement))
        pid = process.identity.pid
        assert "77                   88" in process_kit.read(f"/proc/{pid}/limits")
        assert process_kit.read(f"/proc/{pid}/oom_score_adj") == "500\n"
        assert pid in lab.cgroups.pids()


async def test_a_user_beyond_the_range_is_refused(lab: Lab) -> None:
    async with lab.sandbox(ids=IDS) as sandbox:
        with pytest.raises(errors.TerminalEngineError, match="no id 70000 in a user namespace that has 65536"):
            await sandbox.shim.start(owned(lab, "true", user="70000"))


@pytest.mark.parametrize("lab", [frozenset({"idmap"})], indirect=True)
async def test_a_file_system_that_cannot_be_shown_under_other_owners_is_refused(lab: Lab) -> None:
    async with lab.sandbox(ids=IDS) as sandbox:
        with pytest.raises(
            errors.TerminalEngineError, match=r"as an image: its file system \(\w+\).*userns_mode: host"
        ):
            await sandbox.shim.start(owned(lab, "true"))


async def test_whoever_has_every_capability_in_it_has_none_outside(lab: Lab) -> None:
    """Neither the machine's settings, nor its devices, nor what was given read-only."""
    bound = pathlib.Path(lab.make("bound"))
    (bound / "roots").write_text("x")
    script = (
        "mknod /tmp/sda b 8 0 2>/dev/null && echo made a device;"
        " mount -o remount,rw,bind /bound 2>/dev/null && echo remounted; echo y > /bound/roots && echo wrote;"
        " mkdir /b2; mount -o bind /bound /b2 && mount -o remount,rw,bind /b2 2>/dev/null && echo remounted a copy; echo y > /b2/roots && echo wrote;"
        " umount /proc/kcore 2>/dev/null; head -c1 /proc/kcore 2>/dev/null | wc -c;"
        " for d in /proc/sys /proc/sysrq-trigger; do umount $d 2>/dev/null; mount -o remount,rw,bind $d 2>/dev/null; done;"
        " (echo 1 > /proc/sys/kernel/panic) 2>/dev/null && echo wrote a sysctl;"
        " (echo h > /proc/sysrq-trigger) 2>/dev/null && echo wrote sysrq;"
        " mkdir /p /t; mount -t proc p /p && echo mounted proc; mount -t tmpfs t /t && echo mounted tmpfs; hostname inside && hostname;"
        " true"
    )
    async with lab.sandbox(ids=IDS) as sandbox:
        text = await output(
            sandbox,
            script + " 2>/dev/null",
            mounts=(wire.Bind(str(bound), "/bound", read_only=True),),
            confinement=wire.Confinement(capabilities=ALL),
        )
    assert [line for line in text.splitlines() if "can't create" not in line] == [
        "0",
        "mounted proc",
        "mounted tmpfs",
        "inside",
    ]
    assert (bound / "roots").read_text() == "x"


@pytest.mark.parametrize("lab", [frozenset({"overlay-api", "clone-into-cgroup", "pidfs"})], indirect=True)
async def test_an_older_kernel_does_as_well(lab: Lab) -> None:
    """mount(2) names layers by path and takes those that are mounted; cgroups are entered by writing."""
    async with lab.sandbox(ids=IDS) as sandbox:
        process = await sandbox.shim.start(owned(lab, "sh", "-c", "id -u; touch /x; rm /bin/true; exec sleep 100"))
        eventually(lambda: lab.output() == "0\n")
        assert process.identity.pid in lab.cgroups.pids()
        assert (await sandbox.exec("stat", "-c", "%u", "/x", "/bin/sh")) == (0, "0\n0\n")


async def test_an_image_that_leads_elsewhere_gets_nothing_made_there(lab: Lab) -> None:
    layer = pathlib.Path(lab.make("layer"))
    (layer / "data").symlink_to("/proc/1")
    overlay = wire.Overlay("/", (str(layer), str(lab.image)), lab.make("l-u"), lab.make("l-w"))
    (lab.directory / "bound").mkdir()
    async with lab.sandbox(ids=IDS) as sandbox:
        bad = owned(lab, "true", mounts=(wire.Bind(str(lab.directory / "bound"), "/data/x"),), overlays=(overlay,))
        with pytest.raises(errors.EngineError, match=r"cannot set up its file system: bind .*/bound /data/x"):
            await sandbox.shim.start(bad)
        assert (await output(sandbox, "id -u", container="c2")) == "0\n"


async def test_a_device_that_is_given_works(lab: Lab) -> None:
    devices = (wire.Device("/dev/mine", "c", 1, 3, 0o660, 0, 5), wire.Device("/data/zero", "c", 1, 5, 0o600))
    async with lab.sandbox(ids=IDS) as sandbox:
        text = await output(
            sandbox, "stat -c '%u %g %a' /dev/mine; echo x > /dev/mine; head -c 3 /data/zero | wc -c", devices=devices
        )
    assert text == "0 5 660\n3\n"
