"""How a lab's nodes keep the list of those who leave, which they share: with NameNodes that have nothing more to ask of anybody."""

import pathlib
import shutil
import subprocess

import pytest

from tests.e2e.lab import TOP, Lab

pytestmark = pytest.mark.root

NODES, TIMES = 4, 4
COMPOSE = f"""
services:
  node:
    image: host
    init: true
    command: sleep 1000
    scale: {NODES}
    domainname: books
    environment: {{PATH: "/opt/lab:/usr/bin:/bin", RESOURCEMANAGERS: ""}}
    volumes:
      - ./bin:/opt/lab:ro
      - ./leaving:/etc/hadoop/leaving
"""
NAMENODE = r"""http() { echo '"State" : "active"'; }
"""
COME_AND_GO = f"""
for _ in $(seq {TIMES}); do
    leave || exit 1
    grep -qx "$(hostname -f)" /etc/hadoop/leaving || {{ echo "is not written down"; exit 1; }}
    leave --back || exit 1
    ! grep -x "$(hostname -f)" /etc/hadoop/leaving || {{ echo "is still written down"; exit 1; }}
done
"""


def program(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_nodes_that_come_and_go_at_once_write_down_themselves_only(lab: Lab) -> None:
    """And who reads the list meanwhile finds all others in it: else a NameNode would take back who is about to leave."""
    (lab.folder / "bin").mkdir()
    shutil.copy(TOP / "examples/bigdata-cluster/hadoop/bin/leave", lab.folder / "bin")
    program(lab.folder / "bin/http.sh", NAMENODE)
    program(lab.folder / "bin/hdfs", "#!/bin/true\n")
    leaving = lab.folder / "leaving"
    leaving.write_text("another.books\n")
    lab.up(COMPOSE)
    assert lab.exec("node", "hostname", "-f").endswith(".books\n")
    nodes = [
        lab.popen(
            "exec", "-T", "--index", str(index), "node", "bash", "-c", COME_AND_GO,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for index in range(1, NODES + 1)
    ]  # fmt: skip
    seen = set()
    while any(node.poll() is None for node in nodes):
        seen.add("another.books" in leaving.read_text().splitlines())
    said = [node.communicate()[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * NODES, said
    assert seen == {True}
    assert leaving.read_text() == "another.books\n"
