"""On a kernel that has nothing newer than the floor (Linux 6.1) a user sees no difference."""

import json
import pathlib
from collections.abc import Iterator

import pytest

from engine.process import syscalls
from tests.e2e import machine
from tests.e2e.lab import Corral, Lab, eventually

LAB = """
services:
  a: {image: IMAGE, init: true, command: sleep 1000, mem_limit: 32m, ports: ["8095:80"], volumes: ["data:/data"]}
  b: {image: IMAGE, init: true, command: sleep 1000, depends_on: [a], restart: always}
volumes: {data: {}}
"""


@pytest.fixture
def old(rootfs: pathlib.Path) -> Iterator[Lab]:
    """A project of a corral whose daemon is told that the kernel lacks all it can lack."""
    corral = Corral(machine.Machine(), rootfs)
    corral.environment["CORRAL_WITHOUT"] = ",".join(syscalls.FEATURES)
    try:
        with corral.lab() as lab:
            yield lab
        corral.end()
    finally:
        corral.machine.close()


def test_up_exec_kill_heal_adopt_and_down(old: Lab) -> None:
    old.up(LAB)
    records = [json.loads(path.read_text()) for path in old.run_folder.glob("sandboxes/*/shim.json")]
    assert [record["inode"] for record in records] == [0, 0], "the switch was thrown"
    assert old.exec("b", "ping", "-c1", "-W2", "a")
    before = old.pids()
    old.kill("corral daemon")
    assert old.pids() == before
    old.machine.sh(f"kill -9 {before['b-1']}")
    eventually(lambda: old.states()["b-1"] == "running" and old.pids()["b-1"] != before["b-1"])
    old.corral("stop", "-t", "1")
    assert set(old.states().values()) == {"exited"}
