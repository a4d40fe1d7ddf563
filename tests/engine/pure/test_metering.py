"""What cgroups and processes use, out of the texts of the kernel: of a v2, a v1 and a hybrid machine."""

import os
import pathlib
import sys

from engine import metering, processes
from engine.cgroups import usage

STAT = "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"
PRESSURE = "some avg10=1.25 avg60=0.50 avg300=0.10 total=12345\nfull avg10=0.75 avg60=0.00 avg300=0.00 total=1\n"


def folder(top: pathlib.Path, name: str, **files: str) -> str:
    made = top / name
    made.mkdir(parents=True)
    for file, text in files.items():
        (made / file.replace("__", ".")).write_text(text)
    return str(made)


def test_a_v2_machine_says_all_in_one_folder(tmp_path: pathlib.Path) -> None:
    v2 = folder(
        tmp_path,
        "v2",
        cpu__stat=STAT,
        memory__current="10000\n",
        memory__stat="anon 1\ninactive_file 4000\nactive_file 1\n",
        memory__max="max\n",
        pids__current="3\n",
        cpu__pressure=PRESSURE,
        memory__pressure=PRESSURE.replace("1.25", "0.00"),
        io__pressure="",
    )
    assert usage.read(v2, {}) == usage.Used(2.5, 6000, None, 3, 1.25, 0.0, None)
    (tmp_path / "v2" / "memory.max").write_text("8192\n")
    assert usage.read(v2, {}).memory_limit_bytes == 8192


def test_a_hybrid_machine_says_cpu_and_pressure_in_v2_and_the_rest_in_v1(tmp_path: pathlib.Path) -> None:
    v2 = folder(tmp_path, "v2", cpu__stat=STAT, cpu__pressure=PRESSURE)
    memory = folder(
        tmp_path,
        "memory",
        memory__usage_in_bytes="10000\n",
        memory__stat="inactive_file 1\ntotal_inactive_file 3000\n",
        memory__limit_in_bytes="9223372036854771712\n",
    )
    pids = folder(tmp_path, "pids", pids__current="5\n")
    found = usage.read(v2, {"memory": memory, "pids": pids, "cpu": str(tmp_path)})
    assert found == usage.Used(2.5, 7000, None, 5, 1.25, None, None)


def test_a_v1_machine_counts_cpu_beside_its_controller(tmp_path: pathlib.Path) -> None:
    cpu = folder(tmp_path, "cpu,cpuacct", cpuacct__usage="1500000000\n")
    assert usage.read(None, {"cpu": cpu}) == usage.Used(cpu_s=1.5)
    assert usage.read(None, {}) == usage.Used()
    assert usage.read(str(tmp_path / "gone"), {"memory": str(tmp_path / "gone")}) == usage.Used()


def test_traffic_is_that_of_all_interfaces_but_lo() -> None:
    text = (
        "Inter-|   Receive                            |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n"
        "    lo:     999       1    0    0    0     0          0         0      999       1    0    0\n"
        "  eth0:    1000       2    0    0    0     0          0         0       50       3    0    0\n"
        "eth1:7 1 0 0 0 0 0 0 8 1 0 0\n"
    )
    assert metering.traffic(text) == (1007, 58)
    assert metering.traffic("") == (None, None)


def test_cpu_time_is_that_of_processes_and_of_their_children() -> None:
    line = "7 (a ) b) S 1 7 7 0 -1 4194304 1 2 3 4 10 20 300 4000 20 0 1 0 99 0 0"
    assert metering.cpu_time([line, "", line]) == 2 * 4330 / processes.TICKS_PER_S
    assert metering.cpu_time([]) == 0


def test_storage_is_the_sum_over_processes() -> None:
    text = "rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"
    assert metering.storage([text, "", text]) == (8192, 16384)
    assert metering.storage([]) == (None, None)


def test_a_process_is_what_proc_says() -> None:
    (me,) = processes.infos([os.getpid(), 2**22])
    assert (me.pid, me.parent, me.user) == (os.getpid(), os.getppid(), os.geteuid())
    assert me.command.split() == " ".join(sys.orig_argv).split()
    times = os.times()
    assert abs(times.user + times.system - me.cpu_s) < 1.0
    assert processes.terminal_of(os.makedev(136, 3)) == "pts/3"
    assert processes.terminal_of(os.makedev(137, 1)) == "pts/257"
    assert processes.terminal_of(os.makedev(4, 1)) == "tty1"
    assert processes.terminal_of(0) == ""
