"""Keys that say what a container's processes may do: the kernel says so too, from outside, and of commands run by exec as well."""

import contextlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import machine
from tests.e2e.lab import TOP, Lab, eventually

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
@pytest.mark.key("services.cap_add", "services.cap_drop")
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
@pytest.mark.key("services.read_only")
def test_a_read_only_root_leaves_volumes_and_tmpfs_writable(lab: Lab, image: str) -> None:
    volumes = (
        "read_only: true",
        "volumes: ['data:/data', './bound:/usr/bound']",
        "tmpfs: /scratch",
        "configs: [{source: c, target: /etc/c}]",
    )
    lab.up(one(*volumes, image=image) + "volumes: {data: }\nconfigs: {c: {content: kept}}\n")
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
    assert machine.read(f"/proc/{lab.pid('a')}/root/etc/c") == "kept"


def test_without_it_the_root_is_writable(lab: Lab) -> None:
    lab.up(one("read_only: false"))
    lab.exec("a", "touch", "/x")
    assert os.path.exists(f"/proc/{lab.pid('a')}/root/x")


@pytest.mark.key("services.shm_size")
def test_shm_size(lab: Lab) -> None:
    lab.up(one("shm_size: 96m"))
    found = os.statvfs(f"/proc/{lab.pid('a')}/root/dev/shm")
    assert found.f_blocks * found.f_frsize == 96 << 20
    assert "shm_size 96m -> 64m" in planned(lab, one())


# --------------------------------------------------------------------------------------------- limits, groups, settings


@pytest.mark.key("services.ulimits")
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


@pytest.mark.key("services.group_add")
def test_group_add(lab: Lab) -> None:
    lab.up(one("user: app", "group_add: [extra, 29, '31']"))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            assert sorted(machine.status(pid)["Groups"].split()) == ["1000", "2000", "29", "31"]
    lab.write(one("group_add: [nobodys]"))
    assert "nobodys" in lab.refusal("up", "-d")


@pytest.mark.key("services.sysctls")
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


@pytest.mark.key("services.oom_score_adj")
def test_oom_score_adj(lab: Lab) -> None:
    lab.up(one("oom_score_adj: 321"))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            assert machine.read(f"/proc/{pid}/oom_score_adj") == "321\n"


# ------------------------------------------------------------------------------------------------------- security_opt


@pytest.mark.key("services.security_opt")
def test_no_new_privileges_for_every_process(lab: Lab) -> None:
    lab.up(one("security_opt: ['no-new-privileges:true']"))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            assert [machine.status(pid)[name] for name in ("NoNewPrivs", "Seccomp")] == ["1", "2"]
            assert held(pid) == DOCKERS
    said = planned(lab, one())
    assert "replace" in said
    assert "no-new-privileges true -> false" in said


@pytest.mark.key("services.security_opt")
def test_seccomp_unconfined(lab: Lab) -> None:
    lab.up(one("security_opt: [seccomp=unconfined]"))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            assert machine.status(pid)["Seccomp"] == "0"
            assert held(pid) == DOCKERS


@pytest.mark.key("services.security_opt")
def test_an_apparmor_profile_that_this_machine_has_not_got_is_refused_where_it_is_written(lab: Lab) -> None:
    lab.write(one("security_opt: [apparmor=corral-test-none]"))
    said = lab.refusal("up", "-d")
    assert "compose.yaml:6:" in said
    assert "services.a.security_opt[0]: the AppArmor profile corral-test-none cannot be applied: " in said
    lab.up(one("security_opt: [apparmor=unconfined]"))


DENIES_MKDIR = """{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}]
}"""


@pytest.mark.parametrize("more", ["no-new-privileges:false", "no-new-privileges:true"])
def test_a_seccomp_profile_of_ones_own(lab: Lab, more: str) -> None:
    lab.write(DENIES_MKDIR, "profile.json")
    lab.up(one(f"security_opt: [seccomp=profile.json, '{more}']"))
    assert machine.status(lab.pid("a"))["Seccomp"] == "2"
    assert "Protocol error" in lab.exec("a", "sh", "-c", "mkdir /x 2>&1", code=1)  # EPROTO is 71
    lab.exec("a", "sh", "-c", "unshare -m true 2>/dev/null || exit 3", code=3)  # it has no CAP_SYS_ADMIN still
    (lab.folder / "profile.json").unlink()
    lab.corral("restart", "-t", "0", "a")
    assert "Protocol error" in lab.exec("a", "sh", "-c", "mkdir /x 2>&1", code=1)


def test_the_default_profile_as_a_file_is_the_default(lab: Lab) -> None:
    lab.write((TOP / "engine/rights/seccomp_default.json").read_text(), "profile.json")
    lab.up(one("security_opt: [seccomp=profile.json]", "cap_add: [SYS_ADMIN]"))
    assert machine.status(lab.pid("a"))["Seccomp"] == "2"
    lab.exec("a", "mount", "-t", "tmpfs", "mine", "/tmp")
    lab.exec("a", "sh", "-c", "reboot -f 2>/dev/null || exit 3", code=3)


# what a shell and sleep need, and what anybody needs to become them: no call that is younger than Linux 3.17
_OLD = """
read write open openat close fstat newfstatat stat lstat mmap munmap mprotect brk rt_sigaction rt_sigprocmask ioctl access
rt_sigreturn rt_sigtimedwait poll select getpid getppid clone fork vfork execve exit exit_group wait4 kill fcntl getcwd
dup dup2 getuid geteuid getgid getegid setpgid getpgrp futex arch_prctl set_tid_address set_robust_list prctl capset
clock_nanosleep nanosleep prlimit64 uname tgkill getrandom madvise lseek pipe2 sched_getaffinity sendmsg sendto
"""
OLD = _OLD.split()


@pytest.mark.parametrize("init", ["true", "false"])
@pytest.mark.parametrize("more", ["no-new-privileges:false", "no-new-privileges:true"])
def test_a_profile_that_knows_only_old_system_calls(lab: Lab, init: str, more: str) -> None:
    allowed = {"names": OLD, "action": "SCMP_ACT_ALLOW"}
    lab.write(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [allowed]}), "profile.json")
    lab.up(one(f"security_opt: [seccomp=profile.json, '{more}']", "user: app").replace("init: true", f"init: {init}"))
    pid = lab.pid("a")
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert held(pid, name) == 0, name
    assert (held(pid, "CapBnd"), machine.status(pid)["Seccomp"]) == (DOCKERS, "2")
    assert "not permitted" in lab.exec("a", "sh", "-c", "mkdir /tmp/x 2>&1", code=1)


def test_a_seccomp_profile_that_cannot_be_enforced_is_refused(lab: Lab) -> None:
    lab.write('{"defaultAction": "SCMP_ACT_NOTIFY"}', "profile.json")
    lab.write(one("security_opt: [seccomp=./profile.json]"))
    assert "SCMP_ACT_NOTIFY is not supported" in lab.refusal("up", "-d")
    assert machine.in_cgroups(lab.owner.instance) == {}


@pytest.mark.key("services.security_opt")
def test_systempaths_unconfined(lab: Lab) -> None:
    lab.up(one("security_opt: [systempaths=unconfined]"))
    found = mounts(lab.pid("a"))
    assert not [place for place in found if place.startswith(("/proc/", "/sys/firmware"))]
    assert "rw" in found["/proc"][0]
    assert "ro" in found["/sys"][0]


@pytest.mark.key("services.privileged")
def test_privileged(lab: Lab) -> None:
    lab.up(one("privileged: true"))
    pid = lab.pid("a")
    with executed(lab) as other:
        for each in (pid, other):
            assert [held(each, name) for name in ("CapPrm", "CapEff", "CapBnd")] == [OURS] * 3
            assert machine.status(each)["Seccomp"] == "0"
    found = mounts(pid)
    cgroups = [place for place, (_, _) in found.items() if place.startswith("/sys/fs/cgroup/")] or ["/sys/fs/cgroup"]
    for place in ("/sys", *cgroups):
        assert "rw" in found[place][0], place
    assert not [place for place in found if place.startswith(("/proc/", "/sys/firmware"))]
    inside = {name: os.stat(f"/proc/{pid}/root/dev/{name}").st_rdev for name in ("kmsg", "loop0", "null")}
    assert inside == {name: os.stat(f"/dev/{name}").st_rdev for name in ("kmsg", "loop0", "null")}
    lab.exec("a", "sh", "-c", "exec 3</dev/kmsg")
    lab.up(one("privileged: false"))
    assert held(lab.pid("a")) == DOCKERS
    assert not os.path.exists(f"/proc/{lab.pid('a')}/root/dev/kmsg")


# ------------------------------------------------------------------------------------------------------------ devices


@pytest.mark.key("services.devices")
def test_devices(lab: Lab) -> None:
    lab.up(one("devices: [/dev/loop0, '/dev/loop-control:/dev/own/control:r', '/dev/zero:/opt/zero']"))
    pid = lab.pid("a")
    for place, source in (("dev/loop0", "loop0"), ("dev/own/control", "loop-control"), ("opt/zero", "zero")):
        node, machines = os.stat(f"/proc/{pid}/root/{place}"), os.stat(f"/dev/{source}")
        assert (node.st_rdev, node.st_mode, node.st_uid) == (machines.st_rdev, machines.st_mode, machines.st_uid)
    lab.exec("a", "sh", "-c", "exec 3<>/dev/loop0")
    lab.exec("a", "sh", "-c", "head -c1 /opt/zero >/dev/null")
    said = lab.exec("a", "sh", "-c", "exec 2>&1; exec 3>/dev/own/control", code=None)
    assert "not permitted" in said
    lab.corral("restart", "-t", "0", "a")
    lab.exec("a", "sh", "-c", "head -c1 /opt/zero >/dev/null")
    assert "replace" in planned(lab, one())


@pytest.mark.parametrize(("source", "words"), [("/dev/no-such", "no such path"), ("/etc/passwd", "not a device")])
def test_a_device_that_is_not_there_is_refused(lab: Lab, source: str, words: str) -> None:
    lab.write(one(f"devices: [{source}]"))
    said = lab.refusal("up", "-d")
    assert source in said
    assert words in said


@pytest.mark.key("services.device_cgroup_rules")
def test_device_rules_are_changed_under_the_running_process(lab: Lab) -> None:
    lab.up(one("device_cgroup_rules: ['b 7:0 r']"))
    pid = lab.pid("a")
    lab.exec("a", "sh", "-c", "mknod /node b 7 0 && exec 3</node")
    assert "not permitted" in lab.exec("a", "sh", "-c", "exec 2>&1; exec 3<>/node", code=None)
    assert "live" in planned(lab, one("device_cgroup_rules: ['a 7:* rwm']"))
    lab.up()
    lab.exec("a", "sh", "-c", "exec 3<>/node")
    lab.up(one("device_cgroup_rules: ['b 7:* rw']"))
    lab.exec("a", "sh", "-c", "exec 3<>/node")
    lab.up(one())
    assert "not permitted" in lab.exec("a", "sh", "-c", "exec 2>&1; exec 3</node", code=None)
    assert lab.pid("a") == pid


# ------------------------------------------------------------------------------------------------------------- limits


def first_of(folder: pathlib.Path, *names: str) -> str:
    """What the first of these files says, by cgroup version."""
    return next((folder / name).read_text() for name in names if (folder / name).exists())


def reserved(pid: int) -> int:
    return int(first_of(machine.cgroup_of(pid, "memory"), "memory.soft_limit_in_bytes", "memory.low"))


def cpu_times(pid: int) -> tuple[str, str]:
    folder = machine.cgroup_of(pid, "cpu")
    if (folder / "cpu.max").exists():
        quota, period = (folder / "cpu.max").read_text().split()
        return quota.replace("max", "-1"), period
    return (folder / "cpu.cfs_quota_us").read_text().strip(), (folder / "cpu.cfs_period_us").read_text().strip()


@pytest.mark.key("services.mem_reservation", "services.cpu_period", "services.cpu_quota")
def test_reservation_period_and_quota_are_changed_under_the_running_process(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m", "mem_reservation: 32m", "cpu_period: 50000", "cpu_quota: 20000"))
    pid = lab.pid("a")
    assert reserved(pid) == 32 << 20
    assert cpu_times(pid) == ("20000", "50000")
    assert "live" in planned(lab, one("mem_limit: 64m", "mem_reservation: 16m", "cpu_quota: 70000"))
    lab.up()
    assert reserved(pid) == 16 << 20
    assert cpu_times(pid) == ("70000", "100000")
    lab.up(one())
    assert reserved(pid) in (0, (1 << 63) - 4096)
    assert cpu_times(pid) == ("-1", "100000")
    assert lab.pid("a") == pid


@pytest.mark.key("services.mem_swappiness", "services.oom_kill_disable")
def test_swappiness_and_the_oom_killer_are_set_or_refused(lab: Lab) -> None:
    lab.write(one("mem_limit: 64m", "mem_swappiness: 7", "oom_kill_disable: true"))
    if not machine.cgroup_of(os.getpid(), "memory").joinpath("memory.swappiness").exists():
        assert "swappiness" in lab.refusal("up", "-d")
        return
    lab.up()
    pid = lab.pid("a")
    folder = machine.cgroup_of(pid, "memory")
    assert (folder / "memory.swappiness").read_text() == "7\n"
    assert "oom_kill_disable 1" in (folder / "memory.oom_control").read_text()
    (folder / "memory.swappiness").write_text("9")
    eventually(lambda: (folder / "memory.swappiness").read_text() == "7\n")  # a hand in the kernel is noticed
    lab.up(one("mem_limit: 64m"))
    assert (folder / "memory.swappiness").read_text() == (folder.parent / "memory.swappiness").read_text()
    assert "oom_kill_disable 0" in (folder / "memory.oom_control").read_text()
    assert lab.pid("a") == pid


@pytest.mark.key("services.cpu_rt_runtime", "services.cpu_rt_period")
def test_real_time_is_refused_in_the_file_or_handed_out_and_changed_under_the_running_process(lab: Lab) -> None:
    """Outwards as far as the cgroups are ours, and all of it is given back."""
    lab.write(one("cpu_rt_runtime: 20ms", "cpu_rt_period: '100000'"))
    root = pathlib.Path("/sys/fs/cgroup/cpu")
    if not (root / "cpu.rt_runtime_us").exists():
        said = lab.refusal("up", "-d")
        assert "compose.yaml:6:5: services.a.cpu_rt_runtime: " in said
        assert "cgroup v1" in said or "RT_GROUP_SCHED" in said
        assert "cpu_rt" in lab.refusal("update", "--cpu-rt-runtime", "5", "a")
        return
    lab.up()
    pid = lab.pid("a")
    folder = machine.cgroup_of(pid, "cpu")

    def budgets() -> list[str]:
        return [(each / "cpu.rt_runtime_us").read_text().strip() for each in (folder, *folder.parents[:3])]

    def is_real_time() -> bool:
        try:
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            return False
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        return True

    assert folder.parents[2] == root / "corral"
    assert budgets()[:3] == ["20000", "200000", "200000"]
    assert (folder / "cpu.rt_period_us").read_text() == "100000\n"
    assert is_real_time()
    (folder / "cpu.rt_runtime_us").write_text("10000")
    eventually(lambda: budgets()[0] == "20000")  # a hand in the kernel is noticed
    assert "cpu_rt_runtime 20000 -> 50000, live" in planned(lab, one("cpu_rt_runtime: 50000"))
    lab.up()
    assert budgets()[:3] == ["50000"] * 3
    lab.corral("update", "--cpu-rt-runtime", "60000", "a")
    assert budgets()[:3] == ["60000"] * 3
    lab.write(one("cpu_rt_runtime: 990ms"))
    assert "has no more than 95.0% to hand out" in lab.refusal("up", "-d")
    lab.up(one())
    assert budgets()[:3] == ["0"] * 3
    assert not is_real_time()
    assert lab.pid("a") == pid


@pytest.mark.key(
    "services.blkio_config",
    "services.blkio_config.device_read_bps",
    "services.blkio_config.device_write_iops",
    "services.blkio_config.device_read_iops",
    "services.blkio_config.device_write_bps",
)
def test_blkio_config(lab: Lab) -> None:
    device = "/dev/loop0"
    number = f"{os.major(os.stat(device).st_rdev)}:{os.minor(os.stat(device).st_rdev)}"
    rates = (
        f"blkio_config: {{device_read_bps: [{{path: {device}, rate: 1m}}], device_write_iops: [{{path: {device}, rate: 30}}], "
        f"device_read_iops: [{{path: {device}, rate: 40}}], device_write_bps: [{{path: {device}, rate: 3m}}]}}"
    )
    lab.up(one(rates))
    with executed(lab) as other:
        for pid in (lab.pid("a"), other):
            folder = machine.cgroup_of(pid, "blkio")
            assert lab.owner.instance in str(folder)
            if (folder / "io.max").exists():
                assert (folder / "io.max").read_text() == f"{number} rbps=1048576 wbps=3145728 riops=40 wiops=30\n"
            else:
                assert (folder / "blkio.throttle.read_bps_device").read_text() == f"{number} 1048576\n"
                assert (folder / "blkio.throttle.write_iops_device").read_text() == f"{number} 30\n"
                assert (folder / "blkio.throttle.read_iops_device").read_text() == f"{number} 40\n"
                assert (folder / "blkio.throttle.write_bps_device").read_text() == f"{number} 3145728\n"
    said = planned(lab, one(rates.replace("1m", "2m")))
    assert "replace" in said
    assert f"blkio read bps {device} 1048576 -> 2097152" in said
    lab.write(one("blkio_config: {device_read_bps: [{path: /dev/null, rate: 1m}]}"))
    assert "/dev/null: it is not a block device" in lab.refusal("up", "-d")


WEIGHTS = {
    "io.bfq.weight": ("default 100", "default 300", "{} 300"),
    "io.weight": ("default 100", "default 2930", "{} 2930"),
    "blkio.bfq.weight": ("100", "300", ""),
    "blkio.weight": ("500", "300", ""),
    "blkio.bfq.weight_device": ("default 100", "default 300", "{} 300"),
    "blkio.weight_device": ("", "", "{} 300"),
}
"""What each of the kernel's files says of a new cgroup, of a weight of 300, and of 300 for one device; the first one that a
machine has of each kind takes it (runc: fs2/io.go, fs/blkio.go; 2930 is 1 + (300 - 10) * 9999 / 990)."""
LOOP = "/sys/block/loop0/queue/scheduler"


@pytest.fixture(params=["bfq", "none"])
def schedules(request: pytest.FixtureRequest) -> Iterator[Callable[[str], bool]]:
    """Whether the kernel takes a weight of loop0 in this file, with that scheduler if it has it."""
    before = machine.read(LOOP).partition("[")[2].partition("]")[0]
    with contextlib.suppress(OSError):
        pathlib.Path(LOOP).write_text(request.param)
    chosen = machine.read(LOOP).partition("[")[2].partition("]")[0]

    def takes(file: str) -> bool:
        if file == "io.weight":
            path = pathlib.Path("/sys/fs/cgroup/io.cost.qos")
            return path.exists() and f"{loop_number()} enable=1" in path.read_text()
        return chosen == ("bfq" if "bfq" in file else "cfq")

    yield takes
    pathlib.Path(LOOP).write_text(before)


def loop_number() -> str:
    found = os.stat("/dev/loop0").st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def weight_files(lab: Lab) -> tuple[str, str]:
    """Those of this machine's that take a weight, and one of a device; "": none does."""
    lab.up(one("blkio_config: {device_read_bps: [{path: /dev/loop0, rate: 1m}]}"))
    folder = machine.cgroup_of(lab.pid("a"), "blkio")
    there = [name for name in WEIGHTS if (folder / name).exists()]
    lab.corral("down", "-t", "0")
    general = [name for name in there if not name.endswith("_device")]
    devices = [name for name in there if name.startswith("io.") or name.endswith("_device")]
    return next(iter(general), ""), next(iter(devices), "")


def weights(pid: int) -> dict[str, list[str]]:
    """Mapping from the files of weights that there are to their lines."""
    folder = machine.cgroup_of(pid, "blkio")
    return {name: (folder / name).read_text().splitlines() for name in WEIGHTS if (folder / name).exists()}


def lines_of(said: str) -> list[str]:
    return [said] if said else []


@pytest.mark.key("services.blkio_config.weight")
def test_a_blkio_weight_is_in_the_file_that_the_kernel_has(lab: Lab) -> None:
    taker, _ = weight_files(lab)
    lab.write(one("blkio_config: {weight: 300}"))
    if not taker:
        assert "this kernel has no" in lab.refusal("up", "-d")
        assert machine.in_cgroups(lab.owner.instance) == {}
        return
    lab.up()
    found = weights(lab.pid("a"))
    asked = (taker, f"{taker}_device")  # which shows the same once more
    assert found == {name: lines_of(WEIGHTS[name][1 if name in asked else 0]) for name in found}


@pytest.mark.key("services.blkio_config.weight_device")
def test_a_blkio_weight_of_a_device_is_in_force_where_its_scheduler_has_weights(
    lab: Lab, schedules: Callable[[str], bool]
) -> None:
    _, taker = weight_files(lab)
    lab.write(one("blkio_config: {weight_device: [{path: /dev/loop0, weight: 300}]}"))
    if not taker or not schedules(taker):
        assert "cannot set blkio_config to" in lab.refusal("up", "-d")
        assert machine.in_cgroups(lab.owner.instance) == {}
        return
    lab.up()
    found = weights(lab.pid("a"))
    assert found.pop(taker) == [*lines_of(WEIGHTS[taker][0]), WEIGHTS[taker][2].format(loop_number())]
    assert found == {name: lines_of(WEIGHTS[name][0]) for name in found}
    pathlib.Path(LOOP).write_text("none")  # as a device that is gone: nobody could set that weight again
    lab.corral("update", "--pids-limit", "50", "a")
    lab.corral("down", "-t", "0")


def test_another_blkio_weight_comes_and_goes_under_the_running_process(
    lab: Lab, schedules: Callable[[str], bool]
) -> None:
    """Where limits of block devices are a hierarchy of their own, the processes come into it, and leave it again."""
    taker, of_device = weight_files(lab)
    lab.up(one())
    if not taker:
        assert "this kernel has no" in lab.refusal("update", "--blkio-weight", "300", "a")
        return
    with executed(lab) as other:
        pid = lab.pid("a")
        before = machine.cgroup_of(pid, "blkio")
        lab.corral("update", "--blkio-weight", "300", "a")
        folder = machine.cgroup_of(pid, "blkio")
        assert lab.owner.instance in str(folder)
        assert machine.cgroup_of(other, "blkio") == folder
        assert weights(pid)[taker] == lines_of(WEIGHTS[taker][1])
        assert "blkio_config.weight 300 -> none, live (set by corral update)" in lab.corral("plan", code=2).stdout
        lab.up()
        assert (machine.cgroup_of(pid, "blkio"), machine.cgroup_of(other, "blkio")) == (before, before)
        assert folder == before or not folder.exists()
        assert weights(pid).get(taker, lines_of(WEIGHTS[taker][0])) == lines_of(WEIGHTS[taker][0])
        assert lab.pid("a") == pid
    if schedules(of_device):
        lab.up(one("blkio_config: {weight: 200, weight_device: [{path: /dev/loop0, weight: 300}]}"))
        pid = lab.pid("a")
        for weight in ("400", "0"):
            lab.corral("update", "--blkio-weight", weight, "a")
            assert WEIGHTS[of_device][2].format(loop_number()) in weights(pid)[of_device]
        assert weights(pid)[taker][:1] == lines_of(WEIGHTS[taker][0])
        assert lab.pid("a") == pid
