"""Isolation: what a container may do is what Docker's default lets it, and nothing of the host's is its own by accident."""

import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator

import anyio
import pytest

from tests.e2e import machine
from tests.e2e.lab import TOP, Lab

ONE = "services: {a: {image: IMAGE, init: true, command: sleep 1000}}\n"
HOST = "services: {a: {image: host, init: true, command: sleep 1000}}\n"
DOCKERS_CAPABILITIES = 0x00000000A80425FB  # what `docker run busybox grep Cap /proc/self/status` shows
MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
OURS = ("corral", "python", "memfd:")


def inside(lab: Lab, path: str) -> pathlib.Path:
    return pathlib.Path(f"/proc/{lab.pid('a')}/root{path}")


def inner_processes(lab: Lab) -> dict[int, str]:
    """All processes of containers."""
    return machine.in_cgroups(lab.owner.instance)


def test_capabilities_are_dockers_and_the_inheritable_set_is_empty(lab: Lab) -> None:
    lab.up(ONE)
    found = dict(line.split(":\t") for line in lab.exec("a", "grep", "Cap", "/proc/self/status").splitlines())
    for held in (found, machine.status(lab.pid("a"))):
        for name in ("CapPrm", "CapEff", "CapBnd"):
            assert int(held[name], 16) == DOCKERS_CAPABILITIES, name
        assert int(held["CapInh"], 16) == int(held["CapAmb"], 16) == 0


def test_another_user_has_no_capabilities(lab: Lab) -> None:
    lab.up(ONE.replace("command:", "user: app, command:"))
    found = dict(
        line.split(":\t") for line in lab.exec("a", "grep", "-e", "Cap", "-e", "Uid", "/proc/self/status").splitlines()
    )
    assert found["Uid"].split() == ["1000"] * 4
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == int(found["CapInh"], 16) == 0


def test_every_process_is_filtered_by_seccomp(lab: Lab) -> None:
    lab.up(ONE)
    assert lab.exec("a", "grep", "Seccomp:", "/proc/self/status") == "Seccomp:\t2\n"
    assert inner_processes(lab)
    for pid in inner_processes(lab):
        assert machine.status(pid)["Seccomp"] == "2"
    for command in ("unshare -m true", "mount -t tmpfs x /tmp", "swapoff -a; swapon /bin/busybox", "reboot -f"):
        lab.exec("a", "sh", "-c", f"{command} 2>/dev/null && exit 0; exit 3", code=3)


def test_namespaces_are_its_own(lab: Lab) -> None:
    lab.up(ONE)
    for kind in ("mnt", "net", "pid", "uts", "ipc"):
        others = {machine.namespace(pid, kind) for pid in (os.getpid(), lab.machine.pid, lab.process("corral daemon"))}
        assert machine.namespace(lab.pid("a"), kind) not in others
    assert lab.exec("a", "sh", "-c", "echo /proc/[0-9]*").count("/proc/") <= 4, "it sees only its own processes"


def test_masked_paths_show_nothing(lab: Lab) -> None:
    lab.up(ONE)
    for path in (path for path in MASKED if os.path.exists(path)):
        if os.path.isdir(path):
            assert lab.exec("a", "ls", path) == ""
        else:
            assert lab.exec("a", "head", "-c", "9", path) == ""
            assert inside(lab, path).stat().st_rdev == os.makedev(1, 3), "it is /dev/null"


def test_read_only_paths_cannot_be_written(lab: Lab) -> None:
    lab.up(ONE)
    mounts = {
        line.split()[4]: line.split()[5].split(",")
        for line in machine.read(f"/proc/{lab.pid('a')}/mountinfo").splitlines()
    }
    for path in (*(path for path in READ_ONLY if os.path.exists(path)), "/sys"):
        assert "ro" in mounts[path], path
    lab.exec("a", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward", code=1)
    lab.exec("a", "sh", "-c", "echo h > /proc/sysrq-trigger", code=1)


def test_dev_is_its_own_and_holds_nothing_of_the_machines(lab: Lab) -> None:
    lab.up(ONE)
    names = set(lab.exec("a", "ls", "/dev").split())
    assert (
        names == {*NODES, "console", "core", "fd", "mqueue", "ptmx", "pts", "shm", "stderr", "stdin", "stdout"} & names
    )
    assert names >= {*NODES, "fd", "ptmx", "pts", "shm", "stderr", "stdin", "stdout"}
    for name, numbers in NODES.items():
        found = inside(lab, f"/dev/{name}").stat()
        assert stat.S_ISCHR(found.st_mode)
        assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == numbers
        assert stat.S_IMODE(found.st_mode) == 0o666


def test_the_device_filter_refuses_other_devices(lab: Lab) -> None:
    lab.up(ONE)
    lab.exec("a", "sh", "-c", "mknod /null c 1 3 && echo x > /null")
    for node in ("c 1 1", "c 10 200", "b 8 0", "b 254 0", "c 1 11"):  # mem, tun, disks, kmsg
        said = lab.exec(
            "a", "sh", "-c", f"rm -f /node; mknod /node {node} && exec 2>&1; head -c1 /node && exit 0; exit 3", code=3
        )
        assert "not permitted" in said, node


def test_no_descriptor_of_ours_is_left_in_a_container(lab: Lab) -> None:
    lab.up(ONE)
    assert lab.exec("a", "ls", "/proc/self/fd").split() == ["0", "1", "2", "3"], "3 is ls's own"
    for pid in inner_processes(lab):
        held = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        assert set(held) == {"0", "1", "2"}, machine.command_line(pid)
        assert not [target for target in held.values() if str(lab.owner.top) in target]


def test_our_executable_cannot_be_reached_from_inside(lab: Lab) -> None:
    lab.up(ONE)
    links = lab.exec("a", "sh", "-c", "for p in /proc/[0-9]*; do readlink $p/exe; done; true").splitlines()
    assert set(links) <= {"/bin/busybox"} | {link for link in links if "corral" in link or "memfd" in link}
    for pid in inner_processes(lab):
        executable = f"/proc/{pid}/exe"
        assert not os.path.samefile(executable, sys.executable)


def test_no_process_gains_rights_it_did_not_have(lab: Lab) -> None:
    lab.up(ONE)
    for pid in inner_processes(lab):
        assert machine.status(pid)["Groups"] in ("", "0")


def test_the_image_host_shows_the_machines_programs_and_nothing_private(lab: Lab) -> None:
    secret = pathlib.Path(lab.folder / "secret")
    secret.write_text("secret")
    lab.up(HOST)
    assert lab.exec("a", "ls", "/usr/bin/env") == "/usr/bin/env\n"
    for path in ("/home", "/root", "/var/lib", "/var/log", "/srv", "/mnt", "/opt", "/tmp", "/work", "/boot"):
        assert [
            name for name in lab.exec("a", "ls", "-A", path, code=None).split() if not name.startswith(".")
        ] == [], path
    lab.exec("a", "ls", str(secret), code=2)
    for path in (
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/ssh",
        "/etc/ssl/private",
        "/etc/sudoers",
        "/etc/corral",
        "/etc/machine-id",
    ):
        machines = pathlib.Path(path)
        if machines.is_file() and machines.stat().st_mode & 0o004 == 0:
            assert lab.exec("a", "cat", path, code=None) != machines.read_text()
    keys = lab.exec("a", "sh", "-c", "grep -rlE 'BEGIN .*PRIVATE KEY' /etc /root /home /var 2>/dev/null; true")
    assert keys == ""


def test_the_image_host_shows_of_etc_only_what_everybody_may_read(lab: Lab) -> None:
    lab.up(HOST)
    for folder, _, names in os.walk(f"/proc/{lab.pid('a')}/root/etc"):
        inner = folder.partition("/root/etc")[2]
        for name in names:
            theirs = pathlib.Path(f"/etc{inner}/{name}")
            if theirs.is_file() and not theirs.is_symlink() and not theirs.stat().st_mode & 0o004:
                mine = pathlib.Path(folder, name)
                assert mine.read_bytes() != theirs.read_bytes() or not mine.read_bytes(), (
                    f"{theirs} is not for everybody"
                )


def test_the_image_host_is_not_changed_by_what_is_written_into_it(lab: Lab) -> None:
    lab.up(HOST)
    lab.exec("a", "sh", "-c", "echo mine > /usr/bin/corral-test-mine; rm /usr/bin/env; echo x > /etc/corral-test-mine")
    assert not os.path.exists("/usr/bin/corral-test-mine")
    assert not os.path.exists("/etc/corral-test-mine")
    assert os.path.exists("/usr/bin/env")


def test_the_socket_is_roots_alone(lab: Lab) -> None:
    found = (lab.run_folder / "corral.sock").stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, 0)


class Unprivileged:
    """Somebody who is not root, with a folder of their own, and the program where they can read it."""

    USER = 65534

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.folder = lab.owner.top / f"folder-{lab.project}-nobody"
        self.folder.mkdir()
        lab.owner.top.chmod(0o711)
        self.program = self.folder / "program"
        for room in ("orchestrator", "specs", "reconciler", "engine"):
            shutil.copytree(TOP / room, self.program / room, ignore=shutil.ignore_patterns("__pycache__"))
        os.chown(self.folder, self.USER, self.USER)

    def corral(self, *words: str) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                ["setpriv", f"--reuid={self.USER}", f"--regid={self.USER}", "--clear-groups", "--inh-caps=-all", "/usr/bin/python3", "-m", "orchestrator", *words],
                env=self.lab.environment | {"PYTHONPATH": f"{self.program}:{packages()}", "PYTHONDONTWRITEBYTECODE": "1"},
                preexec_fn=self.lab.machine.enter(str(self.folder)),
                capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
        finally:
            self.lab.machine.entered()


@pytest.fixture
def unprivileged(lab: Lab) -> Iterator[Unprivileged]:
    try:
        yield Unprivileged(lab)
    finally:
        lab.owner.top.chmod(0o700)


def packages() -> pathlib.Path:
    """Where what the program imports is installed; Debian's own Python calls that otherwise than a venv."""
    assert anyio.__file__
    return pathlib.Path(anyio.__file__).parents[1]


def test_who_may_not_use_the_socket_is_told_what_to_do(lab: Lab, unprivileged: Unprivileged) -> None:
    lab.up(ONE)
    before = lab.pids()
    (unprivileged.folder / "compose.yaml").write_text(ONE.replace("IMAGE", lab.owner.image))
    for command in (("ps",), ("up", "-d"), ("down",), ("exec", "-T", "a", "true"), ("kill",)):
        done = unprivileged.corral(*command)
        assert done.returncode == 1
        assert "sudo" in done.stderr
        assert "group" in done.stderr
        assert "Traceback" not in done.stderr
    assert lab.pids() == before
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(lab.run_folder / "corral.sock"))  # and root may


def test_help_and_config_need_no_rights(lab: Lab, unprivileged: Unprivileged) -> None:
    (unprivileged.folder / "compose.yaml").write_text(ONE.replace("IMAGE", lab.owner.image))
    assert unprivileged.corral("--help").returncode == 0
    done = unprivileged.corral("config")
    assert done.returncode == 0, done.stderr
    assert "sleep" in done.stdout


def test_files_named_by_a_spec_are_opened_with_the_callers_rights(lab: Lab, unprivileged: Unprivileged) -> None:
    secret = lab.folder / "secret.env"
    secret.write_text("PASSWORD=hunter2\n")
    secret.chmod(0o600)
    text = f"services: {{a: {{image: '{lab.owner.image}', command: sleep 9, env_file: {secret}}}}}\n"
    (unprivileged.folder / "compose.yaml").write_text(text)
    done = unprivileged.corral("config")
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    assert str(secret) in done.stderr
    assert re.search(r"compose\.yaml:1:\d+", done.stderr)
