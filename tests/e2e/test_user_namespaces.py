"""A service in a user namespace of its own works as any other, and its root is nobody on the machine."""

import os

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

pytestmark = pytest.mark.key("services.userns_mode")
POOL = range(0x70000000, 0x7FFE0000)
LENGTH = 65536

TWO = """
services:
  web:
    image: IMAGE
    userns_mode: auto
    command: httpd -f -h /www -p 80
    volumes: [data:/data]
    ports: ["18080:80"]
    healthcheck: {test: "test -e /data/from-image", interval: 1s}
  client:
    image: IMAGE
    command: sleep 1000
    volumes: ["data:/data"]
    init: true
volumes:
  data:
"""


def first_id(pid: int) -> int:
    """Where its range begins, from the kernel; it must be a whole one of the pool, for users and groups."""
    maps = [machine.read(f"/proc/{pid}/{name}_map").split() for name in ("uid", "gid")]
    assert maps[0] == maps[1]
    inside, first, length = map(int, maps[0])
    assert (inside, length) == (0, LENGTH)
    assert first in POOL
    assert (first - POOL.start) % LENGTH == 0
    return first


def users(pid: int) -> set[int]:
    status = machine.status(pid)
    return {int(number) for key in ("Uid", "Gid") for number in status[key].split()}


def test_it_works_as_any_other(lab: Lab) -> None:
    lab.up(TWO)
    pid = lab.pid("web")
    first = first_id(pid)
    assert users(pid) == {first}
    assert users(lab.pid("client")) == {0}
    assert lab.exec("web", "id", "-u") == "0\n"
    eventually(lambda: lab.ps()["web-1"]["Health"] == "healthy")
    assert "hello" in lab.exec("client", "wget", "-qO-", "http://web/index.html")
    assert "hello" in lab.machine.sh("wget -qO- http://127.0.0.1:18080/index.html")
    assert lab.exec("web", "cat", "/data/from-image") == "image\n"
    lab.exec("web", "sh", "-c", "echo x > /data/ours; chown 1000:1000 /data/ours; echo y > /etc/mine")
    assert lab.exec("client", "stat", "-c", "%u:%g", "/data/ours", "/data/from-image") == "1000:1000\n0:0\n"
    assert lab.exec("web", "hostname") == "web\n"
    assert lab.out("top", "web").count("httpd") == 1
    lab.exec("web", "sh", "-c", "echo more >> /etc/hosts")


def test_it_survives_the_daemon(lab: Lab) -> None:
    lab.up(TWO)
    pid, first = lab.pid("web"), first_id(lab.pid("web"))
    lab.kill("corral daemon")
    assert lab.exec("web", "id", "-u") == "0\n"
    assert lab.pid("web") == pid
    os.kill(pid, 9)
    eventually(lambda: lab.states()["web-1"] == "exited")
    lab.corral("up", "-d")
    assert lab.pid("web") != pid
    assert first_id(lab.pid("web")) == first


def test_each_has_a_range_of_its_own_and_keeps_it(lab: Lab) -> None:
    text = "services:\n  a: {image: IMAGE, userns_mode: auto, scale: 3, command: sleep 1000, init: true}\n"
    lab.up(text)
    before = {name: first_id(pid) for name, pid in lab.pids().items()}
    assert len(set(before.values())) == 3
    lab.up(text, "--force-recreate")
    assert {name: first_id(pid) for name, pid in lab.pids().items()} == before
