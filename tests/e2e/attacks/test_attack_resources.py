"""Attacks on what everybody shares: processes, memory, files, output, the daemon's patience. The judge is how the others fare:
whether each of their requests is answered, and not much later than a program starts that asks nobody. So it is the attack that is
judged, and not whatever else the machine is busy with.
"""

import contextlib
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests import slowness
from tests.e2e import machine
from tests.e2e.attacks import inside
from tests.e2e.lab import Lab, eventually

MIB = 1 << 20
VICTIM = "  victim: {image: IMAGE, init: true, command: httpd -f -p 80 -h /www, ports: ['127.0.0.1:8090:80']}\n"
LOOKS_MIN, LOOKS = 5, 20
ANSWERED_S = 20.0
"""Nobody is kept waiting for longer, whatever else keeps the machine busy."""
TIMES_A_START = 6
"""What another container's users ask for takes at most so many times what the start of a program takes meanwhile that talks to
no daemon and to no container. In peace it is twice."""
GROWTH_BYTES = 24 * MIB


def resident(pid: int) -> int:
    """Bytes of memory that are the process's own."""
    return int(machine.status(pid)["RssAnon"].split()[0]) * 1024


def ours(lab: Lab) -> dict[int, str]:
    return {pid: line for pid, line in lab.owner.own_processes().items() if machine.is_alive(pid)}


class Watch:
    """How our processes grow, and how others are served, meanwhile."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.before = {pid: resident(pid) for pid in ours(lab)}
        self.most = dict(self.before)
        self.waits: list[float] = []
        self.starts: list[float] = []

    def until(self, over: Callable[[], object], limit_s: float) -> None:
        """Look and ask again and again until it is over, and often enough to tell."""
        ends = time.monotonic() + slowness.scaled(limit_s)
        while not over() or len(self.waits) < LOOKS_MIN:
            assert time.monotonic() < ends, "it does not end"
            self.look()
        self.look()

    def look(self) -> None:
        """A command in the neighbour and a connection to its published port, both of which must be answered."""
        began = time.monotonic()
        said = self.lab.corral("exec", "-T", "victim", "echo", "served", timeout=ANSWERED_S).stdout
        assert said == "served\n"
        assert self.lab.machine.tcp("127.0.0.1", 8090, ANSWERED_S) not in (machine.REFUSED, machine.SILENCE)
        served = time.monotonic()
        self.lab.corral("version", "--short")
        self.waits.append(served - began)
        self.starts.append(time.monotonic() - served)
        for pid in self.before:
            with contextlib.suppress(OSError, KeyError):
                self.most[pid] = max(self.most[pid], resident(pid))

    def verify(self) -> None:
        for pid, most in self.most.items():
            assert most - self.before[pid] < GROWTH_BYTES, machine.command_line(pid)
        limit = TIMES_A_START * statistics.median(self.starts)
        assert statistics.median(self.waits) < limit, [*zip(self.waits, self.starts, strict=True)]


def effort_of(command: Callable[[], object]) -> float:
    """Seconds of processor that the programs which it starts and waits for use."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def services(*lines: str) -> str:
    return "services:\n" + VICTIM + "".join(f"  {line}\n" for line in lines)


def is_over(lab: Lab, name: str) -> bool:
    return lab.ps()[name]["State"] == "exited"


FLOOD_BYTES = int((1 << 30) / slowness.FACTOR)
FLOOD = f"yes {'x' * 1000} | head -c {FLOOD_BYTES}"


@pytest.mark.timeout(300)
def test_a_flood_of_output_costs_no_memory_and_no_neighbour(lab: Lab) -> None:
    """CVE-2022-31030's sibling: 1 GiB (less where all is slow) to standard output, in lines and then in one line without an end."""
    lab.up(services(f"flood: {{image: IMAGE, command: [sh, -c, 'sleep 1; {FLOOD}']}}"))
    watch = Watch(lab)
    watch.until(lambda: is_over(lab, "flood-1"), 180)
    watch.verify()
    kept = sum(path.stat().st_size for path in lab.owner.root.glob("containers/*/log*"))
    assert 50_000_000 < kept < 101_000_000, "the end of it is kept, and fills no disk"
    said: list[str] = []
    effort = effort_of(lambda: said.append(lab.out("logs", "--tail", "2", "--no-log-prefix", "flood")))
    assert said[0].startswith("x" * 900)
    assert effort < 4 * effort_of(lambda: lab.corral("version", "--short")), "the end is read, and no more than that"
    lab.up(services(f"flood: {{image: IMAGE, command: [sh, -c, 'sleep 1; head -c {64 * MIB} /dev/zero']}}"))
    watch = Watch(lab)
    watch.until(lambda: is_over(lab, "flood-1"), 60)
    watch.verify()


SPOIL = (
    "cd /dev/shm; i=0; while [ $$i -lt 100000 ]; do : > f$$i || exit 3; i=$$((i+1)); done; echo full; exec sleep 1000"
)


def test_a_hundred_thousand_files_in_shared_memory_are_the_containers_own(lab: Lab) -> None:
    """They are counted against its memory, trouble nobody, and are gone with it at once."""
    lab.up(services(f"bad: {{image: IMAGE, mem_limit: 256m, command: [sh, -c, '{SPOIL}']}}"))
    watch = Watch(lab)
    folder = machine.cgroup_of(lab.pid("bad"), "memory")
    used = next(folder / name for name in ("memory.usage_in_bytes", "memory.current") if (folder / name).exists())
    watch.until(lambda: "full" in lab.out("logs", "bad") or is_over(lab, "bad-1"), 60)
    watch.verify()
    assert lab.states()["bad-1"] == "running", "256 MiB have room for them"
    files = sum(1 for _ in os.scandir(f"/proc/{lab.pid('bad')}/root/dev/shm"))
    assert files == 100_000
    before = int(used.read_text())
    assert before > files * 200, "they are counted"
    lab.corral("stop", "-t", "0", "bad", timeout=20)
    eventually(lambda: not used.exists() or int(used.read_text()) < before / 10)


NOISE = {
    "forks": 'image: host, pids_limit: 60, command: [python3, -c, "import os, time\\nwhile True:\\n'
    '  try: os.fork()\\n  except OSError: time.sleep(0.01)"]',
    "memory": "image: IMAGE, mem_limit: 32m, memswap_limit: 32m, restart: always, command: [sh, -c, 'x=$$(yes | head -c 64000000)']",
    "output": "image: IMAGE, command: [sh, -c, 'yes | head -c 100000000; exec sleep 1000']",
    "files": "image: IMAGE, mem_limit: 64m, command: [sh, -c, 'cd /dev/shm; i=0; while :; do : > $$i; i=$$((i+1)); done']",
    "descriptors": 'image: host, pids_limit: 60, command: [python3, -c, "import os, time\\nheld = []\\nwhile True:\\n'
    '  try: held += os.pipe()\\n  except OSError: time.sleep(0.05)"]',
    "words": "image: IMAGE, command: [sh, -c, 'x=aaaaaaaaaaaaaaaa; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do x=$$x$$x; done;"
    " while :; do A=$$x /bin/true $$x $$x; done 2>/dev/null']",
    "crashes": "image: IMAGE, restart: always, command: 'false'",
}


def test_all_that_one_can_waste_at_once_leaves_the_others_served(lab: Lab) -> None:
    """A fork bomb, a memory bomb, a flood, files, descriptors, arguments and crashes, each within its limits."""
    lab.up(services(*(f"{name}: {{{what}, cpus: 0.15}}" for name, what in NOISE.items())))
    watch = Watch(lab)
    watch.until(lambda: len(watch.waits) >= LOOKS, 90)
    watch.verify()
    folder = machine.cgroup_of(lab.pid("forks"), "pids")
    assert int((folder / "pids.current").read_text()) <= 60
    lab.corral("down", "-t", "0", timeout=30)


def clients(lab: Lab, count: int) -> Iterator["subprocess.Popen[str]"]:
    for _ in range(count):
        yield lab.popen(
            "exec", "-T", "bad", "yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_commands_that_nobody_reads_or_that_are_left_alone_leak_nothing(lab: Lab) -> None:
    """CVE-2022-23471, CVE-2022-1708, CVE-2025-64329: clients that read nothing and vanish, and a probe that floods."""
    probe = "{test: [CMD, 'yes'], interval: 0.2s, timeout: 0.3s, retries: 99}"
    lab.up(services(f"bad: {{image: IMAGE, init: true, command: sleep 1000, healthcheck: {probe}}}"))
    daemon = lab.process("corral daemon")
    watch, before = Watch(lab), descriptors(daemon)
    folder = machine.cgroup_of(lab.pid("bad"), "memory")
    for _ in range(3):
        began = list(clients(lab, 8))
        for client in began:
            assert client.stdout is not None
            assert client.stdout.readline() == "y\n"
        watch.look()
        watch.look()
        for client in began:
            client.send_signal(signal.SIGKILL)
            with client:
                pass
    watch.verify()
    known = set(watch.before) | {lab.process("corral zygote"), lab.process("corral dns")}
    lab.write(services("bad: {image: IMAGE, init: true, command: sleep 1000}"))
    lab.up()
    eventually(lambda: len((folder / "cgroup.procs").read_text().split()) == 2)
    eventually(lambda: set(ours(lab)) <= known | {lab.pid("bad")})
    eventually(lambda: descriptors(daemon) <= before + 4)


def test_the_files_that_we_keep_for_it_cannot_fill_the_machine(lab: Lab) -> None:
    """CVE-2020-8557: /etc/hosts and its like are files of the machine's. What is written to them is soon taken away again."""
    lab.up(services("bad: {image: IMAGE, init: true, command: sleep 1000, mem_limit: 256m}"))
    names = ("hosts", "resolv.conf", "hostname")
    root = pathlib.Path(f"/proc/{lab.pid('bad')}/root/etc")
    kept = [path for name in names for path in lab.run_folder.rglob(name) if path.samefile(root / name)]
    assert len(kept) == 3
    before = [path.read_text() for path in kept]
    for name in names:
        lab.exec("bad", "dd", "if=/dev/zero", f"of=/etc/{name}", "bs=1M", "count=48", code=None)
    eventually(lambda: [path.read_text(errors="replace") for path in kept] == before, 15)


DEEP = """
os.chdir('/var/tmp')
for number in range(ARGUMENTS):
    os.mkdir('d' * 100)
    os.chdir('d' * 100)
open('file', 'w').close()
print('made')
"""


def test_a_tree_that_is_too_deep_to_name_is_removed_with_its_container(lab: Lab) -> None:
    """A path of 300,000 characters in the writable layer; that nothing is left is what the lab looks for at the end."""
    lab.up(services("bad: {image: host, init: true, command: sleep 1000}"))
    assert inside.python(lab, "bad", DEEP, 3000) == "made\n"
    lab.corral("down", "-t", "0", timeout=30)
