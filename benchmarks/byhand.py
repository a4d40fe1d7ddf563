"""A lab's nodes started without corral: shell scripts as a clever person would write them, made from the lab's nodes.

One bridge, and a network, mount, uts and cgroup namespace for each node; this machine's own files below a layer in memory; what
compose.yaml mounts bound over that; all names in /etc/hosts; a cgroup with the node's limits. Nothing looks after them: no restart,
no init, no logs but a file each, no DNS, no published port. All of it is in namespaces of the cluster's own, whose end is its end.
"""

import contextlib
import pathlib
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from nodes import Node
from room import CGROUP_PARENT

AT_ONCE, IN_ORDER = "all at once", "in order"
MANNERS = (AT_ONCE, IN_ORDER)
PATIENCE_S = 240.0
LOOK_S = 0.01
FAILED = ".failed"
SEEN_AT = "/run/ready"
FLAGS = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")

CLUSTER = """\
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir /run/netns
ip -batch {folder}/links
for name in {names}; do
    ( sh {folder}/$name/begin || true; echo "$name ended" >>{folder}/ready/{failed} ) >{folder}/$name/log 2>&1 </dev/null &
done
while true; do wait; sleep 1000; done # the first process of all: it buries orphans
"""
BRIDGE = """\
link add lab type bridge
link set lab up
"""
CABLE = """\
netns add {name}
link add lab{number} type veth peer name eth0 netns {name}
link set lab{number} master lab
link set lab{number} up
"""
ADDRESS = """\
address add {address}/24 dev eth0
link set eth0 up
link set lo up
"""
LIMITS = """\
set -e
if [ -d /sys/fs/cgroup/memory ]; then # v1
    for name in memory cpu; do
        mkdir -p /sys/fs/cgroup/$name/{group}
    done
    echo {memory_v1} >/sys/fs/cgroup/memory/{group}/memory.limit_in_bytes
    echo {quota_v1} >/sys/fs/cgroup/cpu/{group}/cpu.cfs_quota_us
    echo $$ >/sys/fs/cgroup/cpu/{group}/cgroup.procs
    echo $$ >/sys/fs/cgroup/memory/{group}/cgroup.procs
else
    mkdir -p /sys/fs/cgroup/{group}
    echo +memory +cpu >/sys/fs/cgroup/cgroup.subtree_control
    echo +memory +cpu >/sys/fs/cgroup/{parent}/cgroup.subtree_control
    echo {memory_v2} >/sys/fs/cgroup/{group}/memory.max
    echo "{quota_v2}" >/sys/fs/cgroup/{group}/cpu.max
    echo $$ >/sys/fs/cgroup/{group}/cgroup.procs
fi
ip -n {name} -batch {folder}/addresses
exec nsenter --net=/run/netns/{name} unshare --mount --uts --cgroup --propagation private bash {folder}/inside
"""
ROOT = """\
set -e
hostname {name}
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mount --rbind /dev dev
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -d /sys/fs/cgroup/memory ]; then
    mount -t tmpfs tmpfs sys/fs/cgroup
    for name in memory cpu cpuacct cpuset; do
        mkdir sys/fs/cgroup/$name
        own=/sys/fs/cgroup/$name/{group}
        [ -d $own ] || own=/sys/fs/cgroup/$name
        mount --bind $own sys/fs/cgroup/$name
    done
else
    mount --bind /sys/fs/cgroup/{group} sys/fs/cgroup
fi
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
rm -f etc/hosts etc/hostname etc/resolv.conf
cp {cluster}/hosts etc/hosts
echo {name} >etc/hostname
: >etc/resolv.conf
bound() {{ # of a file the place is a file, which may be there
    if [ -d "$1" ]; then mkdir -p ".$2"; elif [ ! -e ".$2" ]; then mkdir -p ".${{2%/*}}"; : >".$2"; fi
    mount --bind $3 "$1" ".$2"
}}
"""
PROGRAM = """\
mkdir run/old run/ready
mount --bind {cluster}/ready run/ready
pivot_root . run/old
umount -l /run/old
{exports}
cd {working_dir}
await() {{ for name; do until [ -e {ready}/$name ]; do sleep 0.1; done; done; }}
"""
PROBED = """\
( ( until {probe}; do sleep 0.25; done >/dev/null 2>&1; : >{ready}/{name} ) & )
"""


@dataclass(frozen=True)
class Cluster:
    """One that runs. `usable_s`: since it was begun."""

    folder: pathlib.Path
    usable_s: float


class DidNotComeUpError(Exception):
    """Started in this manner, the lab does not become usable; in words, with what its node said."""


@contextlib.contextmanager
def started(nodes: list[Node], project: str, folder: pathlib.Path, manner: str) -> Iterator[Cluster]:
    """A cluster that is usable, with volumes that were empty. It is gone afterwards, and its processes are."""
    write(nodes, project, folder, manner)
    began = time.perf_counter()
    running = subprocess.Popen(["unshare", *FLAGS, "bash", folder / "cluster"], stdin=subprocess.DEVNULL)
    try:
        _await_usable(nodes, folder, running)
        yield Cluster(folder, time.perf_counter() - began)
    finally:
        running.kill()  # --kill-child: the first process goes too, and with it all others
        running.wait()


def _await_usable(nodes: list[Node], folder: pathlib.Path, running: "subprocess.Popen[bytes]") -> None:
    ready, names = folder / "ready", {node.name for node in nodes}
    deadline = time.monotonic() + PATIENCE_S
    while not names <= (found := {path.name for path in ready.iterdir()}):
        if FAILED in found:
            name, *why = (ready / FAILED).read_text().splitlines()[0].split()
            raise DidNotComeUpError(f"{name} {' '.join(why)}: {_last_words(folder / name / 'log')}")
        if running.poll() is not None:
            raise SystemExit(f"the by-hand start ends with {running.returncode}")
        if time.monotonic() > deadline:
            late = sorted(names - found)
            raise DidNotComeUpError(
                f"{', '.join(late)} not usable within {PATIENCE_S:g} s: {_last_words(folder / late[0] / 'log')}"
            )
        time.sleep(LOOK_S)


def _last_words(log: pathlib.Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-200:] if lines else "(it wrote nothing)"


# --------------------------------------------------------------------------------------------------------- the scripts


def write(nodes: list[Node], project: str, folder: pathlib.Path, manner: str) -> None:
    """All scripts of the cluster, below `folder`, and the folders of its volumes."""
    for path in ("ready", "volumes", *(node.name for node in nodes)):
        (folder / path).mkdir(parents=True)
    cables = (CABLE.format(name=node.name, number=number) for number, node in enumerate(nodes))
    names = " ".join(node.name for node in nodes)
    (folder / "links").write_text(BRIDGE + "".join(cables))
    (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(_hosts_line(node, project) for node in nodes))
    (folder / "cluster").write_text(CLUSTER.format(folder=folder, names=names, failed=FAILED))
    for node in nodes:
        own = folder / node.name
        (own / "addresses").write_text(ADDRESS.format(address=node.address))
        (own / "begin").write_text(_begin(node, own))
        (own / "inside").write_text(_inside(node, folder, manner))


def _hosts_line(node: Node, project: str) -> str:
    """The full name first: that is the address's name."""
    names = dict.fromkeys((f"{node.name}.{project}", node.name, f"{node.service}.{project}", node.service))
    return f"{node.address} {' '.join(names)}\n"


def _begin(node: Node, own: pathlib.Path) -> str:
    quota = int(node.cpus * 100_000)
    return LIMITS.format(
        name=node.name,
        folder=own,
        parent=CGROUP_PARENT,
        group=_group(node),
        memory_v1=node.memory_bytes or -1,
        memory_v2=node.memory_bytes or "max",
        quota_v1=quota or -1,
        quota_v2=f"{quota or 'max'} 100000",
    )


def _group(node: Node) -> str:
    return f"{CGROUP_PARENT}/{node.name}"


def _inside(node: Node, cluster: pathlib.Path, manner: str) -> str:
    lines = [ROOT.format(name=node.name, group=_group(node), cluster=cluster)]
    for mount in node.mounts:
        source = cluster / "volumes" / mount.source if mount.volume else pathlib.Path(mount.source)
        if mount.volume:
            source.mkdir(exist_ok=True)
        lines.append(f"bound {shlex.quote(str(source))} {mount.target} {'-oro' if mount.read_only else ''}\n")
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in node.environment.items())
    lines.append(PROGRAM.format(cluster=cluster, exports=exports, working_dir=node.working_dir, ready=SEEN_AT))
    if manner == IN_ORDER and node.waits_for:
        lines.append(f"await {' '.join(node.waits_for)}\n")
    lines += _formatting(node)
    if node.probe:
        lines.append(PROBED.format(probe=shlex.join(node.probe), ready=SEEN_AT, name=node.name))
    else:
        lines.append(f": >{SEEN_AT}/{node.name}\n")
    return "".join([*lines, f"exec {shlex.join(node.command)}\n"])


def _formatting(node: Node) -> list[str]:
    """Once for all replicas, by the first: a step that fails ends the node."""
    if not node.formatting:
        return []
    if not node.first:
        return [f"await .{node.service}\n"]
    return [*(f"{shlex.join(step)}\n" for step in node.formatting), f": >{SEEN_AT}/.{node.service}\n"]
