"""What this machine offers the engine, and lacks, in the words of who writes compose files: found by trying, in namespaces of
their own, not by version numbers.

Nothing on the machine is changed. Trials take place in a child that has unshared what it touches; what only root may try is
`UNKNOWN` for others. Reads and processes block: 0.3 s in all.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace

import anyio

from engine import errors
from engine.cgroups import layout
from engine.network import firewalld, iptables, portmap
from engine.network.portmap import Member, Published
from engine.types.parts import PortMap
from orchestrator.command_line import newer, units
from orchestrator.command_line.findings import Finding, Verdict

FLOOR, PYTHON_FLOOR = (6, 1), (3, 11)
TRIAL_S = 10.0
NEEDED_CONTROLLERS = {
    "memory": "mem_limit",
    "cpu": "cpus and cpu_shares",
    "pids": "pids_limit",
    "cpuset": "cpuset",
}
SAMPLE = Member("cbcheckup", "10.254.254.0/24", "10.254.254.1")
SAMPLE6 = Member("cbcheckup", "fd00::/64", "fd00::1")
SAMPLE_PORTS = (PortMap("0.0.0.0", 8080, 80), PortMap("127.0.0.1", 8081, 80), PortMap("0.0.0.0", 5353, 53, "udp"))
FREE_BYTES = 1 << 30


def examine(root: str) -> Iterator[Finding]:
    """All findings, in an order that a reader can follow. `root`: where the state is kept, or will be."""
    for look in (_kernel, _python, _cgroups, _service, _links, _firewall, _ipv6, _others_rules, _forwarding, _seccomp):
        yield from look()
    yield from _overlay(root)
    yield from _space(root)
    yield from newer.findings(_existing(root))


def _kernel() -> Iterator[Finding]:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= FLOOR:
        yield Finding(Verdict.OK, "kernel", f"Linux {release}")
    else:
        words = f"Linux {release} is older than {'.'.join(map(str, FLOOR))}"
        yield Finding(Verdict.MISSING, "kernel", words, "a newer kernel: Debian 12 has 6.1")


def _python() -> Iterator[Finding]:
    words = f"{platform.python_version()}, {os.path.realpath(sys.executable)}"
    if tuple(map(int, platform.python_version_tuple()[:2])) >= PYTHON_FLOOR:
        yield Finding(Verdict.OK, "python", words)
    else:
        words = f"{words} is older than {'.'.join(map(str, PYTHON_FLOOR))}"
        yield Finding(Verdict.MISSING, "python", words, "a newer Python: Debian 12 has 3.11")


def _cgroups() -> Iterator[Finding]:
    try:
        found = layout.detect()
    except errors.EngineError as error:
        yield Finding(Verdict.MISSING, "cgroups", str(error), "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        return
    kinds = {(True, False): "v2", (False, True): "v1", (True, True): "v1 and v2 mixed"}
    yield Finding(Verdict.OK, "cgroups", kinds[bool(found.v2), bool(found.v1)])
    for controller, keys in NEEDED_CONTROLLERS.items():
        if not found.has(controller):
            words = f"no {controller} controller: {keys} will be refused"
            yield Finding(Verdict.LIMITED, "cgroups", words, f"boot with cgroup_enable={controller}")
    if found.has("memory"):
        yield from _swap(found)
    if not found.v2:
        words = "no v2 tree: containers join cgroups one by one, and are killed process by process"
        yield Finding(Verdict.OK, "cgroups", words, "boot with systemd.unified_cgroup_hierarchy=1")


def _swap(found: layout.Layout) -> Iterator[Finding]:
    if memory := found.v1_of("memory"):
        is_counted = os.path.exists(os.path.join(memory, "memory.memsw.limit_in_bytes"))
    else:  # the root of the v2 tree has no such file, its children have
        is_counted = any(
            os.path.exists(os.path.join(each.path, "memory.swap.max")) for each in os.scandir(found.v2_root)
        )
    if not is_counted:
        words = "swap is not counted: memswap_limit will be refused"
        yield Finding(Verdict.LIMITED, "swap", words, "boot with swapaccount=1")


def _service() -> Iterator[Finding]:
    if not os.path.isdir(units.BOOTED):
        yield Finding(Verdict.OK, "service", "no systemd: the first command starts the daemon, also after a boot")
    elif units.is_installed("corral.service"):
        yield Finding(
            Verdict.OK, "service", "corral.service is installed: after a boot projects come back by themselves"
        )
    else:
        words = "no corral.service is installed: after a boot projects come back with the first command"
        yield Finding(Verdict.OK, "service", words, "sudo make install-unit")


def _links() -> Iterator[Finding]:
    for kind, made in (("bridge", "b0 type bridge"), ("veth", "v0 type veth peer name v1")):
        yield _tried(
            kind,
            ["unshare", "-n", "sh", "-c", f"ip link add {made}"],
            "can be made",
            "networks cannot be made",
            f"modprobe {kind}",
        )


def _firewall() -> Iterator[Finding]:
    """Our own rules, into tables of a network namespace that ends with the trial."""
    try:
        tool = iptables.find()
    except errors.EngineError as error:
        yield Finding(Verdict.MISSING, "iptables", str(error), iptables.HINT)
        return
    published = [Published(SAMPLE.bridge, "10.254.254.2", port) for port in SAMPLE_PORTS]
    yield _rules_tried("iptables", tool, portmap.render([SAMPLE], published, "00000000", 5300, became_router=True))


def _ipv6() -> Iterator[Finding]:
    """What networks with enable_ipv6 need, and no other."""
    refused = "networks with enable_ipv6 will be refused"
    if not os.path.isdir("/proc/sys/net/ipv6"):
        words = f"the kernel has IPv6 switched off: {refused}"
        yield Finding(Verdict.LIMITED, "IPv6", words, "boot without ipv6.disable=1")
        return
    try:
        tool = iptables.find("ip6tables")
    except errors.EngineError as error:
        yield Finding(Verdict.LIMITED, "IPv6", f"{error}: {refused}", iptables.HINT)
        return
    published = [Published(SAMPLE6.bridge, "fd00::2", PortMap("::", 8080, 80))]
    texts = portmap.render([SAMPLE6], published, "00000000", 5300, became_router=True, family=portmap.IPV6)
    found = _rules_tried("IPv6", tool, texts)
    yield replace(found, verdict=Verdict.LIMITED) if found.verdict is Verdict.MISSING else found


def _rules_tried(subject: str, tool: iptables.Iptables, texts: Mapping[str, str]) -> Finding:
    text = "".join(texts[table] for table in portmap.TABLES)
    script = f"mount -t tmpfs tmpfs /run && exec {tool.restore_path} --noflush --wait 5"
    return _tried(
        subject,
        ["unshare", "-n", "-m", "--propagation", "private", "sh", "-c", script],
        f"takes our rules ({tool.flavour}, {tool.restore_path})",
        f"refuses our rules ({tool.flavour})",
        "modprobe nf_tables nft_compat xt_conntrack xt_addrtype nf_nat, or a kernel with them",
        text,
    )


def _others_rules() -> Iterator[Finding]:
    if os.geteuid() != 0:
        return
    try:
        found = anyio.run(iptables.obstacles, iptables.find())
        found += anyio.run(_ipv6_obstacles)
    except errors.EngineError:
        return
    found = tuple(dict.fromkeys(found))
    for words in found:
        way_out = "see docs/troubleshooting.md: allow the bridges cb+ there, or let that tool go"
        yield Finding(Verdict.LIMITED, "rules of others", words, way_out)
    if firewalld.is_there():
        words = (
            f"firewalld runs: bridges of corral's are put into its zone {firewalld.ZONE}, where our own rules decide"
        )
        yield Finding(Verdict.OK, "rules of others", words)
    if not found:
        yield Finding(Verdict.OK, "rules of others", "none that stop packets which our own rules accept")


async def _ipv6_obstacles() -> tuple[str, ...]:
    """In words that an obstacle to both families has once."""
    try:
        return await iptables.obstacles(iptables.find("ip6tables"), ipv6=True)
    except errors.EngineError:
        return ()


def _forwarding() -> Iterator[Finding]:
    if _text("/proc/sys/net/ipv4/ip_forward").strip() == "1":
        yield Finding(Verdict.OK, "ip_forward", "on")
    else:
        words = "off; corral switches it on while it has networks, and keeps this machine from routing for others"
        yield Finding(Verdict.OK, "ip_forward", words)


def _seccomp() -> Iterator[Finding]:
    if "errno" in _text("/proc/sys/kernel/seccomp/actions_avail").split():
        yield Finding(Verdict.OK, "seccomp", "filters of system calls")
    else:
        yield Finding(Verdict.MISSING, "seccomp", "this kernel has no filters", "a kernel with CONFIG_SECCOMP_FILTER")


def _overlay(root: str) -> Iterator[Finding]:
    """Where the state is, or will be: the file system matters."""
    if os.geteuid() != 0:
        yield Finding(Verdict.UNKNOWN, "overlay", "only root can try", "sudo corral doctor")
        return
    there = _existing(root)
    try:
        yield _overlay_at(there)
    except OSError as error:
        words = f"nothing can be written below {there}: {error.strerror}"
        yield Finding(Verdict.MISSING, "overlay", words, "keep the state elsewhere: CORRAL_ROOT")


def _overlay_at(there: str) -> Finding:
    with tempfile.TemporaryDirectory(prefix=".corral-checkup-", dir=there) as top:
        names = ("lower", "upper", "work", "root")
        for name in names:
            os.mkdir(os.path.join(top, name))
        lower, upper, work, at = (os.path.join(top, name) for name in names)
        script = 'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4" && mkdir "$4/a" && rmdir "$4/a"'
        return _tried(
            "overlay",
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", lower, upper, work, at],
            f"layers can be written below {there}",
            f"no layers below {there}",
            "keep the state on ext4, xfs or btrfs: CORRAL_ROOT",
        )


def _space(root: str) -> Iterator[Finding]:
    free = shutil.disk_usage(_existing(root)).free
    verdict = Verdict.OK if free >= FREE_BYTES else Verdict.LIMITED
    yield Finding(verdict, "space", f"{free / (1 << 30):.1f} GiB free at {_existing(root)}")


def _tried(subject: str, argv: list[str], good: str, bad: str, way_out: str, text: str = "") -> Finding:
    if os.geteuid() != 0:
        return Finding(Verdict.UNKNOWN, subject, "only root can try", "sudo corral doctor")
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=TRIAL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(Verdict.MISSING, subject, f"{bad}: {error}", way_out)
    if done.returncode == 0:
        return Finding(Verdict.OK, subject, good)
    said = " ".join(done.stderr.split())
    return Finding(Verdict.MISSING, subject, f"{bad}: {said or done.returncode}", way_out)


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
