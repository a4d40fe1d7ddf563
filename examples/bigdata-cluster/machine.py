"""What this machine has, asked of the kernel and never of corral: the judge of "nothing is left".

A snapshot is a mapping from what was looked at ("links", "mounts" …) to a set of lines. Counters, lifetimes and ages are
left out; so are iptables' tables that are there because somebody looked, with nothing in them.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

Snapshot = dict[str, set[str]]
NAMESPACES = ("net", "mnt", "pid", "uts", "ipc", "cgroup")


def snapshot() -> Snapshot:
    links = [link["ifname"] for link in json.loads(_output("ip", "-j", "link") or "[]")]
    return {
        "links": set(links),
        "addresses": set(_lines("ip", "-br", "address")),
        "routes": {re.sub(r" expires \S+", "", line) for line in _lines("ip", "route", "show", "table", "all")},
        "routing rules": set(_lines("ip", "rule")),
        "mounts": {line.split(" ", 1)[1] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "cgroups": set(_cgroups()),
        "iptables rules": set(_rules()),
        "processes": set(_processes()),
        "namespaces": set(_namespaces()),
        "sysctls": set(_sysctls()),
        "shared memory": set(os.listdir("/dev/shm")),
    }


def _cgroups() -> Iterator[str]:
    """All but those of another corral, which has its own reasons."""
    name = Path(os.environ["CORRAL_ROOT"], "instance")
    own = name.read_text().strip() if name.exists() else ""
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        owner = re.search(r"/corral/(\w+)", folder)
        if owner is None or owner[1] == own:
            yield folder


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """What came ("+") and what went ("-"), in words; empty if both are equal. A link stands for its sysctls."""
    lines = []
    for what in before:
        lines += [f"+ {what}: {line}" for line in sorted(after[what] - before[what])]
        lines += [f"- {what}: {line}" for line in sorted(before[what] - after[what])]
    links = before["links"] ^ after["links"]
    return [line for line in lines if not ("sysctls: " in line and any(f"/{link}/" in line for link in links))]


def counts(of: Snapshot) -> str:
    return ", ".join(f"{len(lines)} {what}" for what, lines in of.items())


def addresses(but: str) -> list[str]:
    """The IPv4 addresses by which others reach this machine, without those that begin with `but`."""
    links = json.loads(_output("ip", "-j", "-4", "address") or "[]")
    found = [address for link in links for address in link["addr_info"] if address["scope"] == "global"]
    return [address["local"] for address in found if not address["local"].startswith(but)]


def limits_of(pid: int) -> tuple[int, float]:
    """The memory limit in bytes and the CPU limit in CPUs that the kernel enforces on a process; -1: none."""
    groups = dict(line.split(":")[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    memory, cpu = _folder("memory", groups), _folder("cpu", groups)
    if memory and cpu:  # cgroup v1
        quota, period = ((cpu / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return _number((memory / "memory.limit_in_bytes").read_text()), _number(quota) / int(period)
    unified = Path("/sys/fs/cgroup" + groups[""])
    quota, period = (unified / "cpu.max").read_text().split()
    return _number((unified / "memory.max").read_text()), _number(quota) / int(period)


def _number(text: str) -> int:
    return -1 if text.strip() == "max" else int(text)


def _folder(controller: str, groups: dict[str, str]) -> Path | None:
    """Where cgroup v1 keeps this controller's settings; None where v2 does."""
    for names, path in groups.items():
        if controller in names.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}")
    return None


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def _lines(*argv: str) -> list[str]:
    return [line.strip() for line in _output(*argv).splitlines()]


def _rules() -> Iterator[str]:
    for command in ("iptables-save", "iptables-legacy-save", "ip6tables-save", "ip6tables-legacy-save"):
        table = ""
        for line in _lines(command) if shutil.which(command) else ():
            table = line if line.startswith("*") else table
            if line.startswith("-A") or (line.startswith(":") and " ACCEPT" not in line):
                yield f"{command} {table} {line.split(' [')[0]}"


def processes_named(beginning: str) -> dict[int, str]:
    """Mapping from pid to command line of the processes whose command line begins so."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
        except OSError:
            continue
        if command.startswith(beginning):
            found[pid] = command
    return found


def _processes() -> Iterator[str]:
    """The processes that live in namespaces of their own, or call themselves corral's."""
    ours = _namespaces_of("self")
    for pid, command in processes_named("").items():
        if command.startswith("corral ") or (command and _namespaces_of(pid) not in ([], ours)):
            yield f"{pid} {command}"


def _namespaces() -> Iterator[str]:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        yield from _namespaces_of(pid)


def _namespaces_of(pid: int | str) -> list[str]:
    """Empty for a process that is ending."""
    try:
        return [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES]
    except OSError:
        return []


def _sysctls() -> Iterator[str]:
    for top in ("/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "/proc/sys/net/bridge"):
        for folder, _, names in os.walk(top):
            for name in names:
                try:
                    yield f"{folder[10:]}/{name} = {Path(folder, name).read_text().strip()}"
                except OSError:
                    continue
