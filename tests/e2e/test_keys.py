"""Keys that say what a container's processes may do: the kernel says so too, from outside, and of commands run by exec as well."""

import contextlib
import os
import re
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

CHOWN, KILL, SETUID, NET_ADMIN, NET_RAW, SYS_ADMIN, SYS_TIME = 0, 5, 7, 12, 13, 21, 25  # linux/capability.h
DOCKERS = 0xA80425FB
OURS = int(machine.status(os.getpid())["CapPrm"], 16) & int(machine.status(os.getpid())["CapBnd"], 16)
RIGHTS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups")


def one(*lines: str, image: str = "IMAGE") -> str:
    start = f"services:\n  a:\n    image: {image}\n    init: true\n    command: sleep 1000"
    return "\n    ".join([start, *lines]) + "\n"


def bits(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


def held(pid: int, which: str = "CapEff") -> int:
    return int(machine.status(pid)[which], 16)


def mounts(pid: int) -> dict[str, tuple[list[str], str]]:
    """Mapping from mount point to its own options and those of its file system."""
    found = {}
    for line in machine.read(f"/proc/{pid}/mountinfo").splitlines():
        words = line.split()
        found[words[4]] = (words[5].split(","), words[-1])
    return found


def limits(pid: int) -> dict[str, list[str]]:
    """Soft and hard, by the kernel's words."""
    lines = machine.read(f"/proc/{pid}/limits").splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


@contextlib.contextmanager
def executed(lab: Lab) -> Iterator[int]:
    """The pid of a command that exec runs in the container."""
    with lab.popen("exec", "-T", "a", "sleep", "999"):
        inside = eventually(
            lambda: [pid for pid, line in machine.in_cgroups(lab.owner.instance).items() if line == "sleep 999"]
        )
        yield inside[0]
        os.kill(inside[0], 9)


def planned(lab: Lab, text: str) -> str:
    lab.write(text)
    return lab.corral("plan", code=2).stdout


# ---------------------------------------------------------------------------------------------------- capabilities


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("cap_add: [CAP_SYS_TIME, net_admin]",), DOCKERS | bits(SYS_TIME, NET_ADMIN)),
        (("cap_drop: [NET_RAW, KILL]",), DOCKERS & ~bits(NET_RAW, KILL)),
        (("cap_drop: [ALL]",), 0),
        (("cap_drop: [ALL]", "cap_add: [CHOWN]"), bits(CHOWN)),
        (("cap_add: [ALL]", "cap_drop: [NET_RAW]"), OURS & ~bits(NET_RAW)),
    ],
)
def test_capabilities_are_what_the_file_leaves(lab: Lab, lines: tuple[str, ...], expected: int) -> None:
    lab.up(one(*lines))
    pid = lab.pid("a")
    assert [held(pid, name) for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")] == [expected] * 3 + [0, 0]
    with executed(lab) as other:
        assert [machine.status(other)[name] for name in RIGHTS] == [machine.status(pid)[name] for name in RIGHTS]


def test_a_capability_opens_its_system_calls(lab: Lab) -> None:
    lab.up(one("cap_add: [SYS_ADMIN]"))
    lab.exec("a", "mount", "-t", "tmpfs", "mine", "/tmp")
    assert "/tmp" in mounts(lab.pid("a"))
    assert machine.status(lab.pid("a"))["Seccomp"] == "2"


def test_a_capability_that_corral_does_not_have_is_refused(lab: Lab) -> None:
    missing = [bit for bit in (SYS_TIME, 24) if not OURS >> bit & 1]  # SYS_RESOURCE is what virtual machines go without
    if not missing:
        pytest.skip("this machine's root has every capability")
    said = (lab.write(one("cap_add: [SYS_RESOURCE]")), lab.refusal("up", "-d"))[1]
    assert "SYS_RESOURCE" in said
    assert "corral itself does not have it" in said
    assert machine.in_cgroups(lab.owner.instance) == {}


def test_other_capabilities_are_a_new_container_and_plan_says_so(lab: Lab) -> None:
    lab.up(one("cap_add: [SYS_TIME]"))
    pid = lab.pid("a")
    said = planned(lab, one("cap_add: [NET_ADMIN]"))
    assert "replace" in said
    assert "-SYS_TIME, +NET_ADMIN" in said
    lab.up()
    assert lab.pid("a") != pid
    assert held(lab.pid("a")) == DOCKERS | bits(NET_ADMIN)


# ------------------------------------------------------------------------------------------------------ the root, shm


@pytest.mark.parametrize("image", ["IMAGE", "host"])
def test_a_read_only_root_leaves_volumes_and_tmpfs_writable(lab: Lab, image: str) -> None:
    volumes = ("read_only: true", "volumes: ['data:/data', './bound:/usr/bound']", "tmpfs: /scratch")
    lab.up(one(*volumes, image=image) + "volumes: {data: }\n")
    found = mounts(lab.pid("a"))
    layers = [place for place, (_, options) in found.items() if "upperdir=" in options]
    assert "/" in layers
    for place in (*layers, "/etc/hosts", "/etc/resolv.conf", "/sys", "/proc/sys"):
        assert "ro" in found[place][0], place
    for place in ("/data", "/usr/bound", "/scratch", "/dev/shm"):
        assert "rw" in found[place][0], place
        lab.exec("a", "touch", f"{place}/x")
    for place in ("/x", "/etc/x", "/bin/x", "/usr/x", "/etc/hosts"):
        lab.exec("a", "sh", "-c", f"echo > {place}", code=None)
        assert not os.path.exists(f"/proc/{lab.pid('a')}/root{place}") or place == "/etc/hosts"
    assert machine.read(f"/proc/{lab.pid('a')}/root/etc/hosts").strip()


def test_without_it_the_root_is_writable(lab: Lab) -> None:
    lab.up(one("read_only: false"))
    lab.exec("a", "touch", "/x")
    assert os.path.exists(f"/proc/{lab.pid('a')}/root/x")


def test_shm_size(lab: Lab) -> None:
    lab.up(one("shm_size: 96m"))
    found = os.statvfs(f"/proc/{lab.pid('a')}/root/dev/shm")
    assert found.f_blocks * found.f_frsize == 96 << 20
    assert "shm_size 96m -> 64m" in planned(lab, one())


# --------------------------------------------------------------------------------------------- limits, groups, settings


def test_ulimits_of_every_process(lab: Lab) -> None:
    lab.up(one("ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 300, core: 0, memlock: {soft: 1024, hard: 8192}}"))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            found = limits(pid)
            assert found["Max open files"] == ["1000", "2000"]
            assert found["Max processes"] == ["300", "300"]
            assert found["Max core file size"] == ["0", "0"]
            assert found["Max locked memory"] == ["1024", "8192"]
    said = planned(lab, one("ulimits: {nofile: 2000}"))
    assert "replace" in said
    assert "+nofile=2000:2000" in said


def test_a_ulimit_beyond_corrals_own_is_refused(lab: Lab) -> None:
    most = limits(os.getpid())["Max open files"][1]
    if OURS >> 24 & 1 or most == "unlimited":
        pytest.skip("corral may raise any limit here")
    lab.write(one(f"ulimits: {{nofile: {int(most) + 1}}}"))
    said = lab.refusal("up", "-d")
    assert "nofile" in said
    assert most in said
    lab.up(one(f"ulimits: {{nofile: {most}}}"))
    assert limits(lab.pid("a"))["Max open files"] == [most, most]


def test_group_add(lab: Lab) -> None:
    lab.up(one("user: app", "group_add: [extra, 29, '31']"))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            assert sorted(machine.status(pid)["Groups"].split()) == ["1000", "2000", "29", "31"]
    lab.write(one("group_add: [nobodys]"))
    assert "nobodys" in lab.refusal("up", "-d")


def test_sysctls_of_network_and_ipc_are_the_containers_own(lab: Lab) -> None:
    before = [machine.read(f"/proc/sys/{name}") for name in ("net/core/somaxconn", "kernel/msgmax", "kernel/sem")]
    lab.up(
        one("sysctls:", "  net.core.somaxconn: 777", "  kernel.msgmax: 12345", "  kernel.sem: 250 32000 100 130")
        + "  b: {image: IMAGE, command: sleep 1000}\n"
    )

    def own(name: str, service: str) -> str:
        return machine.run("nsenter", "-t", str(lab.pid(service)), "-n", "-i", "cat", f"/proc/sys/{name}")

    assert own("net/core/somaxconn", "a") == "777\n"
    assert own("kernel/msgmax", "a") == "12345\n"
    assert own("kernel/sem", "a").split() == ["250", "32000", "100", "130"]
    assert own("kernel/msgmax", "b") != "12345\n"
    assert own("net/core/somaxconn", "b") != "777\n"
    now = [machine.read(f"/proc/sys/{name}") for name in ("net/core/somaxconn", "kernel/msgmax", "kernel/sem")]
    assert now == before
    said = planned(lab, one("sysctls: {net.core.somaxconn: 778}") + "  b: {image: IMAGE, command: sleep 1000}\n")
    assert re.search(r"± sandbox:a +replace +sysctls net.core.somaxconn 777 -> 778", said)


@pytest.mark.parametrize("name", ["net.core.no_such_thing", "kernel.shmmax"])
def test_a_sysctl_that_the_kernel_refuses_is_a_clear_error(lab: Lab, name: str) -> None:
    lab.write(one(f"sysctls: {{{name}: not-a-number}}"))
    assert f"cannot set sysctl {name}" in lab.refusal("up", "-d")


def test_oom_score_adj(lab: Lab) -> None:
    lab.up(one("oom_score_adj: 321"))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            assert machine.read(f"/proc/{pid}/oom_score_adj") == "321\n"
