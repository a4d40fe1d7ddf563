"""A shim that lends a child to a container's pid namespace and cannot come back from there."""

import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).parents[3]
SHIM = """
import os
from engine.process import children, syscalls

ways = []

def setns(descriptor, kind):
    ways.append(kind)
    if len(ways) == 2:
        raise PermissionError

syscalls.setns = setns
children.clone_into(os.pidfd_open(os.getpid()), "", lambda channel, entered: os._exit(0))
"""


def test_it_ends_rather_than_have_its_next_container_born_there() -> None:
    done = subprocess.run([sys.executable, "-c", SHIM], cwd=TOP, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
