"""Attacks on the machine from inside a container, as its root: our programs, the kernel's settings and calls, our files and
sockets."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from engine.rights import seccomp
from tests.e2e import machine
from tests.e2e.attacks import inside
from tests.e2e.conftest import Corrals
from tests.e2e.lab import Lab

CLUSTER = """
services:
  bad: {image: host, init: true, command: sleep 1000, mem_limit: 256m, pids_limit: 100}
  open: {image: host, init: true, command: sleep 1000, network_mode: host}
"""
NOBODY = 65534
LIMITS = (
    "memory.limit_in_bytes",
    "memory.max",
    "memory.memsw.limit_in_bytes",
    "pids.max",
    "cpu.cfs_quota_us",
    "cpu.max",
)


@pytest.fixture(scope="module")
def cluster(corrals: Corrals) -> Iterator[Lab]:
    """Brought up once: what an attack changes, it must not."""
    with corrals.get().lab("attacked") as lab:
        lab.up(CLUSTER)
        yield lab


def digest(path: str) -> str:
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


OVERWRITE = """#!/proc/self/exe
import os
held = os.open('/proc/self/exe', os.O_RDONLY)
os.set_inheritable(held, True)
if 'memfd' in os.readlink('/proc/self/exe'):
    os.execv('/bin/sh', ['sh', '-c', 'for i in 1 2 3 4 5; do for t in /proc/[0-9]*/exe /proc/self/fd/%d; do'
        ' case $(readlink $t) in *memfd*) (echo owned > $t) 2>/dev/null && echo WROTE $t;; esac; done; done; echo tried' % held])
"""


@pytest.mark.parametrize("trick", ["script", "link", "magic"])
def test_programs_replaced_by_links_to_our_runtime_overwrite_nothing(cluster: Lab, trick: str) -> None:
    """CVE-2019-5736: `exec` into a container that made its own programs lead to the executable of whoever enters."""
    before = {name: digest(f"/proc/{cluster.process(name)}/exe") for name in ("corral zygote", "corral daemon")}
    place = f"/usr/local/bin/tool-{trick}"
    made = pathlib.Path(f"/proc/{cluster.pid('bad')}/root{place}")
    if trick == "script":
        made.write_text(OVERWRITE)
        made.chmod(0o755)
    else:
        made.symlink_to({"link": "/proc/self/exe", "magic": "/proc/self/root/proc/self/exe"}[trick])
    done = cluster.corral("exec", "-T", "-e", "PYTHONHOME=/usr", "bad", place, "-c", "print('runs')", code=None)
    assert "WROTE" not in done.stdout
    if trick == "script":
        assert "tried" in done.stdout, f"the attack was made: {done}"
    else:
        assert done.returncode != 0
        assert "runs" not in done.stdout
    assert {name: digest(f"/proc/{cluster.process(name)}/exe") for name in before} == before
    assert cluster.exec("bad", "/bin/true") == ""


def settings() -> dict[str, str]:
    """What a container could use to have the machine run something."""
    paths = [f"/proc/sys/kernel/{name}" for name in ("core_pattern", "modprobe", "hostname")]
    paths += [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob("*/release_agent")]
    return {path: machine.read(path) for path in paths if os.path.exists(path)}


CGROUPS = """
mkdir -p /tmp/cg
for flags in -U -Ur -m -C -UrmC -Urp; do unshare $flags true && echo "unshare $flags"; done
for kind in "cgroup -o rdma" "cgroup -o memory" cgroup2 proc sysfs tmpfs overlay; do
  mount -t $kind x /tmp/cg && echo "mount $kind"; done
for place in / /sys /sys/fs/cgroup /proc /proc/sys $(ls -d /sys/fs/cgroup/*); do
  mount -o remount,rw,bind $place && echo "remount $place"; mount -o remount,rw $place && echo "remount $place"; done
for file in $(find /sys/fs/cgroup -name release_agent -o -name notify_on_release) /proc/sys/kernel/core_pattern; do
  echo '|/tmp/owned' > $file && echo "wrote $file"; done
umount /proc/keys && echo "umount"
true
"""


def test_no_release_agent_and_no_other_program_of_the_kernels_can_be_set(cluster: Lab) -> None:
    """CVE-2022-0492: new namespaces to get at cgroup v1's release_agent; and what else lets the kernel run a program."""
    before, mounts = settings(), machine.read(f"/proc/{cluster.pid('bad')}/mountinfo")
    assert cluster.exec("bad", "sh", "-c", f"exec 2>/dev/null; {CGROUPS}") == ""
    assert settings() == before
    assert machine.read(f"/proc/{cluster.pid('bad')}/mountinfo") == mounts


def limits(pid: int) -> dict[str, str]:
    folders = {machine.cgroup_of(pid, controller) for controller in ("memory", "pids", "cpu")}
    return {
        str(folder / name): (folder / name).read_text()
        for folder in folders
        for name in LIMITS
        if (folder / name).exists()
    }


RAISE = """
find /sys/fs/cgroup -type f | while read file; do for word in -1 max 99999999999 0 1; do
  (echo $word > $file) && echo "wrote $file"; done; done
find /sys/fs/cgroup -type d | while read folder; do
  mkdir $folder/mine && echo "made $folder/mine"; chmod 777 $folder && echo "changed $folder"; done
true
"""


def test_its_own_limits_cannot_be_raised_or_left(cluster: Lab) -> None:
    """CVE-2023-25809: writable cgroups. Every file of its cgroups is tried, and new ones."""
    before = limits(cluster.pid("bad"))
    assert len(before) >= 2
    assert cluster.exec("bad", "sh", "-c", f"exec 2>/dev/null; {RAISE}") == ""
    assert limits(cluster.pid("bad")) == before


CONNECT = """
found = []
for name in ARGUMENTS:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as caller:
            try:
                caller.connect(name)
                found.append(name)
            except OSError:
                pass
with open('/proc/net/unix') as table:
    names = [line.split()[7] for line in table.readlines()[1:] if len(line.split()) > 7]
print(json.dumps([found, names]))
"""


def sockets(pid: int) -> set[str]:
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def test_no_socket_of_ours_is_reached_through_the_machines_network(cluster: Lab) -> None:
    """CVE-2020-15257: a container that shares the machine's network tries the abstract sockets, and the paths it sees named."""
    ours = set().union(*(sockets(pid) for pid in cluster.owner.own_processes()))
    lines = machine.read(f"/proc/{cluster.machine.pid}/net/unix").splitlines()[1:]
    mine = [line.split() for line in lines if line.split()[6] in ours]
    named = [words[7] for words in mine if len(words) > 7]
    assert named, "the kernel lists those that have a name"
    assert not [name for name in named if name.startswith("@")]
    paths = [str(path) for path in cluster.run_folder.rglob("*") if path.is_socket()]
    assert str(cluster.run_folder / "corral.sock") in paths
    assert any(path.endswith("shim.sock") for path in paths)
    found, seen = json.loads(inside.python(cluster, "open", CONNECT, [*paths, *named]))
    assert found == []
    assert set(named) <= set(seen), "it does see their names"


SEARCH = """
import stat
found = []
ours = ARGUMENTS
for folder, folders, names in os.walk('/'):
    if folder == '/':
        folders[:] = set(folders) - {'proc', 'sys', 'usr'}
    for name in names:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                found.append(path)
for pid in [name for name in os.listdir('/proc') if name.isdigit()]:
    for link in ('root', 'cwd', 'exe', *(f'fd/{n}' for n in range(20))):
        with contextlib.suppress(OSError):
            target = os.readlink(f'/proc/{pid}/{link}')
            if ours in target:
                found.append(f'{pid}/{link} {target}')
    for above in (f'/proc/{pid}/root', f'/proc/{pid}/cwd', '/proc/self/root/..', '/..'):
        if os.path.exists(above + ours):
            found.append(above + ours)
print(json.dumps(found))
"""


def test_the_daemons_socket_is_nowhere_to_be_found(cluster: Lab) -> None:
    """Every socket in the container's file system, and every way through /proc to the folder where ours are."""
    for service in ("bad", "open"):
        assert json.loads(inside.python(cluster, service, SEARCH, str(cluster.owner.top))) == []


CALLS = """
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    return 'ok' if result >= 0 else errno.errorcode[ctypes.get_errno()]
def family(number, kind=socket.SOCK_DGRAM):
    try:
        socket.socket(number, kind).close()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]
libc = ctypes.CDLL(None, use_errno=True)
n = ARGUMENTS
found = {name: call(n[name], 0, 0, 0, 0, 0, 0) for name in n if name not in ('unshare', 'clone', 'socket', 'getpid')}
found |= {f'unshare {flag:#x}': call(n['unshare'], flag) for flag in (0x10000000, 0x20000, 0x2000000, 0x40000000)}
found |= {f'clone {flag:#x}': call(n['clone'], flag | 17, 0, 0, 0, 0) for flag in (0x10000000, 0x20000)}
found |= {'AF_ALG': family(38, socket.SOCK_SEQPACKET), 'AF_VSOCK': family(40, socket.SOCK_STREAM)}
found['getpid'] = call(n['getpid'])
print(json.dumps(found))
"""
DANGEROUS = (
    *(
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "mount",
        "umount2",
        "pivot_root",
    ),
    *(
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "userfaultfd",
        "bpf",
        "perf_event_open",
        "lookup_dcookie",
    ),
    *(
        "keyctl",
        "add_key",
        "request_key",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
    ),
    *("setns", "open_by_handle_at", "quotactl", "swapon", "swapoff", "reboot", "acct", "settimeofday", "clock_settime"),
    *("nfsservctl", "vhangup", "process_vm_readv", "kcmp", "move_pages", "ioperm", "iopl", "clone3", "syslog"),
)


def test_calls_behind_which_kernel_bugs_were_found_are_not_to_be_had(cluster: Lab) -> None:
    """CVE-2022-0185, CVE-2022-0847, CVE-2026-31431: each call is made with nothing but zeros; a kernel that was reached
    says something else than EPERM or ENOSYS."""
    numbers = seccomp.numbers(os.uname().machine)
    asked = {name: numbers[name] for name in (*DANGEROUS, "unshare", "clone", "socket", "getpid") if name in numbers}
    assert len(asked) > 35
    found = json.loads(inside.python(cluster, "bad", CALLS, asked))
    assert found.pop("getpid") == "ok"
    reached = {name: answer for name, answer in found.items() if answer not in ("EPERM", "ENOSYS")}
    # moby allows these two: they reach one's own processes only
    assert set(reached) <= {"process_vm_readv", "kcmp"}, reached


def test_users_of_the_machine_find_no_set_uid_program_in_our_folders(cluster: Lab) -> None:
    """CVE-2021-41091, CVE-2021-41103, CVE-2024-25621: what a container's root makes is no way to root for who has an account here."""
    cluster.exec("bad", "sh", "-c", "cp /bin/sh /srv/owned && chmod 4755 /srv/owned")
    made = [path for path in cluster.owner.root.rglob("owned") if path.stat().st_mode & 0o4000]
    assert made, "root finds it"
    cluster.owner.top.chmod(0o755)  # the folder above ours, as /var/lib is
    try:
        for command in (
            *(f"ls {folder}" for folder in (cluster.owner.root, cluster.run_folder)),
            *(f"{path} -p -c id" for path in made),
            f"/proc/{cluster.pid('bad')}/root/srv/owned -p -c id",
            f"ls /proc/{cluster.pid('bad')}/root/",
        ):
            done = subprocess.run(
                [shutil.which("setpriv") or "", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c", command],
                capture_output=True, text=True, timeout=10, check=False,
            )  # fmt: skip
            assert (done.returncode != 0, done.stdout) == (True, ""), command
            assert "ermission denied" in done.stderr, command
    finally:
        cluster.owner.top.chmod(0o700)
        cluster.exec("bad", "rm", "/srv/owned")
