"""A service in a user namespace of its own works as any other, and its root is nobody on the machine."""

import os

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

pytestmark = pytest.mark.key("services.userns_mode")
POOL = range(0x70000000, 0x7FFE0000)
LENGTH = 65536

TWO = """
services:
  web:
    image: IMAGE
    userns_mode: auto
    command: httpd -f -h /www -p 80
    volumes: [data:/data]
    ports: ["18080:80"]
    healthcheck: {test: "test -e /data/from-image", interval: 1s}
  client:
    image: IMAGE
    command: sleep 1000
    volumes: ["data:/data"]
    init: true
volumes:
  data:
"""


def first_id(pid: int) -> int:
    """Where its range begins, from the kernel; it must be a whole one of the pool, for users and groups."""
    maps = [machine.read(f"/proc/{pid}/{name}_map").split() for name in ("uid", "gid")]
    assert maps[0] == maps[1]
    inside, first, length = map(int, maps[0])
    assert (inside, length) == (0, LENGTH)
    assert first in POOL
    assert (first - POOL.start) % LENGTH == 0
    return first


def users(pid: int) -> set[int]:
    status = machine.status(pid)
    return {int(number) for key in ("Uid", "Gid") for number in status[key].split()}


def test_it_works_as_any_other(lab: Lab) -> None:
    lab.up(TWO)
    pid = lab.pid("web")
    first = first_id(pid)
    assert users(pid) == {first}
    assert users(lab.pid("client")) == {0}
    assert lab.exec("web", "id", "-u") == "0\n"
    eventually(lambda: lab.ps()["web-1"]["Health"] == "healthy")
    assert "hello" in lab.exec("client", "wget", "-qO-", "http://web/index.html")
    assert "hello" in lab.machine.sh("busybox wget -qO- http://127.0.0.1:18080/index.html")
    assert lab.exec("web", "cat", "/data/from-image") == "image\n"
    lab.exec("web", "sh", "-c", "echo x > /data/ours; chown 1000:1000 /data/ours; echo y > /etc/mine")
    assert lab.exec("client", "stat", "-c", "%u:%g", "/data/ours", "/data/from-image") == "1000:1000\n0:0\n"
    assert lab.exec("web", "hostname") == "web\n"
    assert lab.out("top", "web").count("httpd") == 1
    lab.exec("web", "sh", "-c", "echo more >> /etc/hosts")


def test_it_survives_the_daemon(lab: Lab) -> None:
    lab.up(TWO)
    pid, first = lab.pid("web"), first_id(lab.pid("web"))
    lab.kill("corral daemon")
    assert lab.exec("web", "id", "-u") == "0\n"
    assert lab.pid("web") == pid
    os.kill(pid, 9)
    eventually(lambda: lab.states()["web-1"] == "exited")
    lab.corral("up", "-d")
    assert lab.pid("web") != pid
    assert first_id(lab.pid("web")) == first


def test_each_has_a_range_of_its_own_and_keeps_it(lab: Lab) -> None:
    text = "services:\n  a: {image: IMAGE, userns_mode: auto, scale: 3, command: sleep 1000, init: true}\n"
    lab.up(text)
    before = {name: first_id(pid) for name, pid in lab.pids().items()}
    assert len(set(before.values())) == 3
    lab.up(text, "--force-recreate")
    assert {name: first_id(pid) for name, pid in lab.pids().items()} == before


SAYS = "services:\n  a: {image: IMAGE, command: sleep 1000, init: true%s}\n"


@pytest.mark.key("services.userns_mode", "x-corral", "x-corral.userns")
def test_the_file_may_say_it_for_all_and_a_service_otherwise(lab: Lab) -> None:
    lab.up(
        "x-corral: {userns: auto}\nservices:\n  a: {image: IMAGE, command: sleep 1000, init: true}\n"
        "  b: {image: IMAGE, command: sleep 1000, init: true, userns_mode: host}\n"
    )
    assert users(lab.pid("a")) == {first_id(lab.pid("a"))}
    assert users(lab.pid("b")) == {0}


def test_an_edit_makes_container_and_sandbox_anew_and_the_plan_says_so(lab: Lab) -> None:
    lab.up(SAYS % "")
    assert users(lab.pid("a")) == {0}
    lab.write(SAYS % ", userns_mode: auto")
    text = lab.corral("plan", code=2).stdout
    assert "userns_mode host -> auto (" in text
    assert "sandbox:a" in text
    lab.up()
    first = first_id(lab.pid("a"))
    lab.up(SAYS % ", userns_mode: host")
    assert users(lab.pid("a")) == {0}
    lab.up(SAYS % ", userns_mode: auto")
    assert first_id(lab.pid("a")) == first


def test_limits_settings_and_files_are_as_without(lab: Lab) -> None:
    (lab.folder / "secret").write_text("hidden\n")
    lab.up(
        """
services:
  a:
    image: IMAGE
    userns_mode: auto
    user: app
    command: sleep 1000
    mem_limit: 64m
    pids_limit: 50
    ulimits: {nofile: {soft: 100, hard: 200}}
    oom_score_adj: 300
    sysctls: {net.ipv4.tcp_syncookies: 0, kernel.msgmax: 9000, fs.mqueue.msg_max: 20}
    tmpfs: ["/mine:uid=1000,mode=700"]
    shm_size: 8m
    secrets: [{source: s, uid: "1000", mode: 0400}]
    group_add: ["2000"]
    volumes: [./shared:/shared]
secrets: {s: {file: ./secret}}
"""
    )
    pid = lab.pid("a")
    first = first_id(pid)
    assert users(pid) == {first + 1000}
    assert {int(group) for group in machine.status(pid)["Groups"].split()} == {first + 1000, first + 2000}
    assert machine.read(f"/proc/{pid}/oom_score_adj") == "300\n"
    assert (machine.cgroup_of(pid, "pids") / "pids.max").read_text() == "50\n"
    script = "cat /run/secrets/s; touch /mine/x; cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/kernel/msgmax; ulimit -n; id -u"
    assert lab.exec("a", "sh", "-c", script) == "hidden\n0\n9000\n100\n1000\n"
    lab.corral("exec", "-T", "-u", "root", "a", "touch", "/shared/by-root")
    assert os.stat(lab.folder / "shared/by-root").st_uid == 0


STRICT = """
services:
  a:
    image: IMAGE
    security_opt: ["corral:strict"]
    command: httpd -f -h /www -p 80
    tmpfs: /scratch
    volumes: [data:/data]
  b: {image: IMAGE, command: sleep 1000, init: true}
volumes: {data: }
"""
KEPT = sum(1 << bit for bit in (0, 1, 3, 4, 5, 6, 7, 10))  # linux/capability.h: CHOWN to SETUID, NET_BIND_SERVICE


@pytest.mark.key("services.security_opt")
def test_the_strict_profile_leaves_little(lab: Lab) -> None:
    lab.up(STRICT)
    pid = lab.pid("a")
    first = first_id(pid)
    status = machine.status(pid)
    assert users(pid) == {first}
    assert {int(status[key], 16) for key in ("CapBnd", "CapEff", "CapPrm")} == {KEPT}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    root = next(line.split() for line in machine.read(f"/proc/{pid}/mountinfo").splitlines() if line.split()[4] == "/")
    assert "ro" in root[5].split(",")
    assert "hello" in lab.exec("b", "wget", "-qO-", "http://a/index.html")
    script = (
        "touch /x 2>/dev/null && echo wrote; touch /scratch/x /data/x; unshare -U true 2>/dev/null && echo unshared;"
        " ping -c1 -W1 b >/dev/null 2>&1; mount -t tmpfs x /scratch 2>/dev/null && echo mounted; id -u"
    )
    assert lab.exec("a", "sh", "-c", script) == "0\n"


CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, call):
    ctypes.set_errno(0)
    print(name, call() == -1 and ctypes.get_errno())
refused("ptrace", lambda: libc.ptrace(0, 0, 0, 0))
refused("process_vm_readv", lambda: libc.process_vm_readv(os.getpid(), None, 0, None, 0, 0))
refused("personality", lambda: libc.personality(0x0040000))
refused("packet", lambda: libc.socket(17, 3, 0))
refused("vsock", lambda: libc.socket(40, 1, 0))
refused("alg", lambda: libc.socket(38, 5, 0))
refused("keyctl", lambda: libc.syscall(250, 1, 0))
refused("userfaultfd", lambda: libc.syscall(323, 1))
refused("io_uring", lambda: libc.syscall(425, 1, 0))
refused("bpf", lambda: libc.syscall(321, 0, 0, 0))
refused("perf", lambda: libc.syscall(298, 0, 0, 0, 0, 0))
print("fine", libc.socket(2, 1, 0) >= 0, libc.socket(10, 1, 0) >= 0, libc.socket(1, 1, 0) >= 0, libc.socket(16, 3, 0) >= 0)
"""


@pytest.mark.key("services.security_opt")
def test_the_strict_profile_refuses_what_a_service_seldom_needs(lab: Lab) -> None:
    """Each call is refused with EPERM by the filter, before the kernel looks at it."""
    lab.up('services:\n  a: {image: host, security_opt: ["corral:strict"], command: sleep 1000, init: true}\n')
    lines = lab.exec("a", "python3", "-I", "-c", CALLS).splitlines()
    assert lines.pop() == "fine True True True True"
    assert {line.split()[1] for line in lines} == {"1"}, lines
    assert len(lines) == 11


def test_the_machine_may_say_it_for_all(lab: Lab) -> None:
    """CORRAL_USERNS, as /etc/corral/config.yaml, counts from the next `up` on."""
    lab.up(SAYS % "")
    lab.corral("daemon", "stop")
    lab.environment["CORRAL_USERNS"] = "auto"
    try:
        pid = lab.pid("a")
        assert users(pid) == {0}
        lab.up()
        assert users(lab.pid("a")) == {first_id(lab.pid("a"))}
        lab.write(SAYS % ", privileged: true")
        assert "userns_mode: host does without" in lab.refusal("up", "-d")
    finally:
        lab.corral("daemon", "stop")
        del lab.environment["CORRAL_USERNS"]
        lab.corral("daemon", "start")


@pytest.mark.key("services.network_mode", "services.pid", "services.ipc")
def test_containers_share_everything_within_one_user_namespace(lab: Lab) -> None:
    lab.up(
        """
        x-corral: {userns: auto}
        services:
          a: {image: IMAGE, init: true, command: sleep 1000, ipc: shareable}
          b: {image: IMAGE, command: sleep 1000, network_mode: "service:a", pid: "service:a", ipc: "service:a"}
        """
    )
    a, b = lab.pid("a"), lab.pid("b")
    assert first_id(a) == first_id(b)
    for kind in ("user", "net", "uts", "pid", "ipc"):
        assert os.readlink(f"/proc/{a}/ns/{kind}") == os.readlink(f"/proc/{b}/ns/{kind}"), kind
    for kind in ("mnt", "cgroup"):
        assert os.readlink(f"/proc/{a}/ns/{kind}") != os.readlink(f"/proc/{b}/ns/{kind}"), kind
    lab.exec("a", "touch", "/dev/shm/ours")
    assert lab.exec("b", "ls", "/dev/shm") == "ours\n"
    assert "sleep 1000" in lab.exec("b", "ps", "-o", "args")
    assert users(b) == {first_id(a)}
    lab.corral("down", "-t", "0")
    assert machine.in_cgroups(lab.owner.instance) == {}


@pytest.mark.parametrize("is_new", [False, True])
def test_what_is_copied_while_it_rests_has_its_owners_inside(lab: Lab, is_new: bool) -> None:
    """Whatever it is on: the image, what is written over it, a volume, a bind."""
    (lab.folder / "bound").mkdir()
    (lab.folder / "file").write_text("from outside\n")
    os.chown(lab.folder / "file", 1000, 2000)
    text = """
services:
  a: {image: IMAGE, userns_mode: auto, init: true, command: sleep 1000, volumes: ['data:/data', './bound:/bound', './bound:/new/fixed:ro']}
volumes: {data: }
"""
    if is_new:
        gate = "  gate: {image: IMAGE, init: true, command: sleep 1000}\n"
        lab.write(
            text.replace(
                "./bound:/new/fixed:ro']",
                "./bound:/new/fixed:ro'], depends_on: {gate: {condition: service_completed_successfully}}",
            ).replace("volumes: {", gate + "volumes: {")
        )
        with lab.popen("up", "-d") as up:
            eventually(lambda: lab.states().get("a-1") == "created")
            up.terminate()
    else:
        lab.up(text)
        lab.exec("a", "sh", "-c", "echo inside > /tmp/theirs && chown 1000:2000 /tmp/theirs")
        lab.corral("stop", "-t", "0")
    for place in ("/tmp", "/data", "/bound"):
        lab.corral("cp", "-a", "file", f"a:{place}/kept")
        lab.corral("cp", "file", f"a:{place}/roots")
    assert "read-only" in lab.refusal("cp", "file", "a:/new/fixed/x").lower()
    lab.corral("cp", "-a", "a:/tmp/kept", "back")
    lab.corral("cp", "-a", "a:/etc/passwd", "passwd")
    assert [(each.st_uid, each.st_gid) for each in map(os.stat, (lab.folder / "back", lab.folder / "passwd"))] == [
        (1000, 2000),
        (0, 0),
    ]
    found = (lab.folder / "bound/kept").stat()
    assert (found.st_uid, found.st_gid) == (1000, 2000), "on the disk, too"
    if is_new:
        lab.up(text, "-t", "0", "--remove-orphans")
    else:
        lab.corral("cp", "-a", "a:/tmp/theirs", "theirs")
        assert (lab.folder / "theirs").stat().st_uid == 1000
        lab.corral("start")
    owners = lab.exec(
        "a", "stat", "-c", "%u:%g", *(f"{p}/{n}" for p in ("/tmp", "/data", "/bound") for n in ("kept", "roots"))
    )
    assert owners.split() == ["1000:2000", "0:0"] * 3
    assert lab.exec("a", "stat", "-c", "%u", "/new", "/new/fixed").split()[0] == "0"
    assert lab.machine.processes("engine.copying") == {}
