"""What a JVM in a container sees of its machine; tests/guests/debian/test_debian_machine.py asks it in a guest with cgroup v2. And that
none depends on the archive of classes that `prepare` has made."""

import os
import pathlib
import re
from typing import Any

import pytest

from tests.e2e.lab import Lab
from tests.e2e.labs import cluster as clusters

SEES = """
services:
  jvm: {image: host, network_mode: none, mem_limit: 300m, cpus: 1.5, command: [java, "-XshowSettings:system", -version]}
"""
PARTS = pathlib.Path(os.environ.get("CORRAL_LABS", clusters.PARTS)) / "hadoop-3.4.2"
LACKING = {
    "missing": lambda whole: None,
    "empty": lambda whole: b"",
    "cut off in its head": lambda whole: whole[:1000],
    "cut off": lambda whole: whole[: len(whole) // 2],
    "of another Java": lambda whole: re.sub(rb"\((\d+)\.", rb"(1.", whole[:1000]) + whole[1000:],
}
"""What may be there instead of an archive, of what one is."""
COMMAND = f"""
services:
  jvm:
    image: host
    network_mode: none
    environment: {{PATH: "/opt/lab/bin:/usr/bin:/bin"}}
    command: [hadoop, version]
    volumes:
      - {PARTS}/lib:/opt/hadoop/lib:ro
      - {PARTS}/classes.size:/opt/hadoop/classes.size:ro
      - {clusters.LABS}/hadoop/bin:/opt/lab/bin:ro
      - {clusters.LABS}/hadoop/conf/hadoop:/etc/hadoop:ro
"""


def said(lab: Lab) -> str:
    lab.corral("wait", "jvm", code=None)
    return lab.out("logs", "--no-log-prefix", "jvm")


def test_a_jvm_sees_the_limits_of_its_container(lab: Lab) -> None:
    lab.up(SEES)
    told = said(lab)
    assert "Memory Limit: 300.00M" in told
    assert "CPU Quota: 150000us" in told
    assert "Effective CPU Count: 2" in told


@pytest.mark.parametrize("how", LACKING)
def test_one_starts_without_the_archive_of_its_classes(lab: Lab, how: str) -> None:
    clusters.fetch("hadoop", str(PARTS.parent))
    whole: Any = (PARTS / "classes.jsa").read_bytes()
    instead = LACKING[how](whole)
    assert instead != whole
    mount = ""
    if instead is not None:
        (lab.folder / "instead.jsa").write_bytes(instead)
        mount = "      - ./instead.jsa:/opt/hadoop/classes.jsa:ro\n"
    lab.up(COMMAND + mount)
    told = said(lab)
    assert told.startswith("Hadoop 3.4.2\n"), told
    assert lab.ps()["jvm-1"]["ExitCode"] == 0
