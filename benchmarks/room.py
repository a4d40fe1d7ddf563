"""A room of its own for both: network, mounts, processes. What runs in it, its bridges, rules and mounts end with it.

Cgroups alone have no such room. Corral takes its own away; docker's lie below one name, and are removed here.
"""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

CGROUP_PARENT = "corral-benchmark"
SETUP = 'mount -t tmpfs tmpfs /run && ip link set lo up && "$@"; exit $?'  # sh stays: it reaps orphans, as pid 1 must
FLAGS = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


def enter(argv: list[str]) -> int:
    """Run the command in a new room; its exit code."""
    # Python must keep its bytecode, as on any user's machine
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "CORRAL", "COMPOSE"))
    }
    code = subprocess.run(["unshare", *FLAGS, "sh", "-c", SETUP, "sh", *argv], env=environment).returncode
    if code < 0 or code > 128:
        print(f"benchmarks/run: ended by signal {-code if code < 0 else code - 128}")
    return code


@contextlib.contextmanager
def swept() -> Iterator[None]:
    """Docker's cgroups are gone at the end."""
    try:
        yield
    finally:
        for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/{CGROUP_PARENT}"):
            subprocess.run(["find", path, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=True)
