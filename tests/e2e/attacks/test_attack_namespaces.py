"""Attacks from containers that see more than themselves: the machine's processes, or those of a container that shares theirs."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.attacks import inside
from tests.e2e.conftest import Corrals
from tests.e2e.lab import Lab

CLUSTER = """
services:
  seer: {image: host, init: true, command: sleep 1000, pid: host, ipc: host, uts: host, cgroup: host}
  nobody: {image: host, init: true, command: sleep 1000, pid: host, user: '65534'}
  donor: {image: host, init: true, command: sleep 1000, ipc: shareable}
  guest: {image: host, init: true, command: sleep 1000, pid: 'service:donor', ipc: 'service:donor'}
"""
OURS = ("corral daemon", "corral zygote", "corral shim attacked-ns/seer", "corral shim attacked-ns/donor")


@pytest.fixture(scope="module")
def cluster(corrals: Corrals) -> Iterator[Lab]:
    with corrals.get().lab("attacked-ns") as lab:
        lab.up(CLUSTER)
        yield lab


OPEN = """
libc = ctypes.CDLL(None, use_errno=True)
reached = []
for pid in ARGUMENTS:
    assert os.path.exists(f'/proc/{pid}/stat'), f'{pid} is not seen'
    for name in ('exe', 'root', 'cwd', 'ns/mnt', 'fd/0'):
        with contextlib.suppress(PermissionError):
            reached.append((pid, name, os.readlink(f'/proc/{pid}/{name}')))
    for name in ('map_files', 'root/'):
        with contextlib.suppress(PermissionError):
            reached.append((pid, name, os.listdir(f'/proc/{pid}/{name}')))
    for name in ('mem', 'environ', 'maps', 'auxv', 'syscall', 'stack', 'fd/0'):
        with contextlib.suppress(PermissionError):
            with open(f'/proc/{pid}/{name}', 'rb') as file:
                try:
                    file.read(1)
                except OSError as error:
                    if error.errno != errno.EIO:  # nothing is mapped at 0
                        raise
                reached.append((pid, name, ''))
    if libc.ptrace(0x4206, pid, 0, 0) == 0:  # PTRACE_SEIZE
        reached.append((pid, 'ptrace', ''))
    pidfd = os.pidfd_open(pid)
    if libc.syscall(438, pidfd, 0, 0) >= 0:  # pidfd_getfd
        reached.append((pid, 'pidfd_getfd', ''))
    if libc.setns(pidfd, 0x20000) == 0:  # CLONE_NEWNS
        reached.append((pid, 'setns', ''))
print(json.dumps(reached))
"""


@pytest.mark.parametrize("service", ["seer", "nobody"])
def test_who_sees_our_processes_opens_none_of_them(cluster: Lab, service: str) -> None:
    ours = [cluster.process(title) for title in OURS]
    assert json.loads(inside.python(cluster, service, OPEN, ours)) == []
    assert all(machine.is_alive(pid) for pid in ours)


def test_the_attack_on_our_processes_succeeds_on_what_is_its_own(cluster: Lab) -> None:
    """So it is one."""
    found = json.loads(inside.python(cluster, "seer", OPEN, [cluster.pid("seer")]))
    assert {"exe", "root"} <= {name for _, name, _ in found}


WATCH = """
import select
there = {pid for pid in os.listdir('/proc') if pid.isdigit()}
reached, came, shut = [], set(), set()
print('watching', flush=True)
while not select.select([0], [], [], 0)[0]:
    for pid in os.listdir('/proc'):
        if pid.isdigit() and pid not in there:
            came.add(int(pid))
            try:
                os.stat(f'/proc/{pid}/root{ARGUMENTS}')
                reached.append(open(f'/proc/{pid}/cmdline').read())
            except PermissionError:
                shut.add(int(pid))
            except OSError:
                continue
print(json.dumps([reached, sorted(came), sorted(shut)]))
"""
"""Until its standard input is closed."""


@pytest.mark.parametrize("service", ["seer", "donor"])
def test_who_comes_into_a_pid_namespace_is_not_opened_on_its_way(cluster: Lab, service: str) -> None:
    """Between its birth and its program a child of ours has the machine's files for its root."""
    words = ("exec", "-T", service, "python3", "-I", "-c", inside.HEAD + WATCH)
    socket = json.dumps(str(cluster.run_folder / "corral.sock"))
    entered = set()
    with cluster.popen(*words, socket, stdin=-1, stdout=-1) as watcher:
        assert watcher.stdin
        assert watcher.stdout
        assert watcher.stdout.readline() == "watching\n"
        for _ in range(6):
            cluster.exec("guest", "true")
            cluster.corral("restart", "-t", "0", "guest")
            pids = [int(pid) for pid in machine.status(cluster.pid("guest"))["NSpid"].split()]
            entered.add(pids[0] if service == "seer" else pids[-1])
        watcher.stdin.close()
        reached, came, shut = json.loads(watcher.stdout.read())
    assert reached == []
    assert len(entered) == 6
    assert entered <= set(came), "each was seen to come"
    assert shut, "and some while they were on their way"


def test_what_is_hidden_in_proc_stays_hidden_in_anothers_pid_namespace(cluster: Lab) -> None:
    for service in ("seer", "guest"):
        places = {
            line.split()[4]: line.split()[5]
            for line in machine.read(f"/proc/{cluster.pid(service)}/mountinfo").splitlines()
        }
        for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"):
            assert path in places or not os.path.exists(path), path
        for path in ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/sys"):
            assert "ro" in places[path].split(",") if path in places else not os.path.exists(path), path
        cluster.exec(service, "sh", "-c", "! echo 1 > /proc/1/root/proc/sys/vm/drop_caches")
    cluster.exec("seer", "sh", "-c", "! hostname changed")
    assert cluster.machine.sh("uname -n").strip() != "changed"
