"""A room of its own for all: network, mounts, processes. What runs in it, its bridges, rules and mounts end with it.

Cgroups alone have no such room. Those of docker, of podman and of what is started by hand lie below one name each, and are removed
here; corral takes its own away, where it is not killed before.

The room forwards packets from the start: a dockerd that has to switch that on drops for ever what is not its own, podman's connections
from outside among them.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Iterator

CGROUP_PARENT = "corral-benchmark"
PODMAN_CGROUP_PARENT = "libpod_parent"
SETUP = """
mount -t tmpfs tmpfs /run && ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward &&
mkdir /run/etc /run/etc/upper /run/etc/work &&
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc &&
"$@"; exit $?
"""  # sh stays: it reaps orphans, as pid 1 must
FLAGS = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


def enter(argv: list[str]) -> int:
    """Run the command in a new room; its exit code."""
    # Python must keep its bytecode, as on any user's machine
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "CORRAL", "COMPOSE"))
    }
    code = subprocess.run(["unshare", *FLAGS, "sh", "-c", SETUP, "sh", *argv], env=environment).returncode
    if code < 0 or code > 128:
        print(f"{sys.argv[0]}: ended by signal {-code if code < 0 else code - 128}")
    return code


@contextlib.contextmanager
def swept(corral_root: pathlib.Path) -> Iterator[None]:
    """The cgroups are gone at the end: what was there before stays."""
    before = _cgroups((CGROUP_PARENT, PODMAN_CGROUP_PARENT))
    try:
        yield
    finally:
        instance = corral_root / "instance"
        corrals = _cgroups((f"corral/{instance.read_text().strip()}",)) if instance.exists() else set()
        for path in corrals | _cgroups((CGROUP_PARENT, PODMAN_CGROUP_PARENT)) - before:
            subprocess.run(["find", path, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=True)


def _cgroups(names: Iterable[str]) -> set[pathlib.Path]:
    return {path for name in names for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/{name}")}
