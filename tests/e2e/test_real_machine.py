"""On this machine itself, not in a namespace of the tests': what a user's first project does here, and that it goes again.

Others use the machine too, so only what is this corral's by name, or came while it was up, is judged.
"""

import json
import pathlib
import re
import socket
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.lab import Corral, Lab, eventually

PROJECT = """
services:
  web:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: {lab: {ipv4_address: SUBNET.10}}
    ports: ["127.0.0.1::80"]
  client: {image: IMAGE, init: true, command: sleep 1000, networks: [lab], depends_on: [web]}
networks: {lab: {ipam: {config: [{subnet: SUBNET.0/24}]}}}
"""


@pytest.fixture
def here(rootfs: pathlib.Path) -> Iterator[Lab]:
    corral = Corral(machine.RealMachine(), rootfs)
    try:
        with corral.lab("here") as lab:
            yield lab
    finally:
        corral.end()


def links() -> set[str]:
    return {link["ifname"] for link in json.loads(machine.run("ip", "-j", "link"))}


def rules(instance: str) -> list[str]:
    return [line for line in machine.run("iptables-save").splitlines() if instance in line]


def free_subnet() -> str:
    """The first three numbers of one that no route of this machine meets."""
    routes = machine.run("ip", "-4", "route", "show", "table", "all")
    return next(f"10.{number}.77" for number in range(201, 250) if not re.search(rf"\b10\.{number}\.", routes))


def published(lab: Lab) -> int:
    (port,) = lab.ps()["web-1"]["Publishers"]
    assert port["URL"] == "127.0.0.1"
    return int(port["PublishedPort"])


def fetch(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 5) as caller:
        caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
        said = b""
        while part := caller.recv(4096):
            said += part
    return said.decode()


def test_a_project_comes_up_is_reached_heals_and_goes_without_a_trace(here: Lab) -> None:
    before, forwarding = links(), machine.read("/proc/sys/net/ipv4/ip_forward")
    here.up(PROJECT.replace("SUBNET", free_subnet()))
    instance = here.owner.instance
    made = links() - before
    assert len([name for name in made if name.startswith("cb")]) == 1
    assert len([name for name in made if name.startswith("cv")]) == 2
    assert rules(instance)
    assert "hello" in fetch(published(here))
    assert "hello" in here.exec("client", "wget", "-q", "-O", "-", "http://web/")
    (cable, *_) = [name for name in made if name.startswith("cv")]
    machine.run("ip", "link", "del", cable)
    eventually(lambda: len(links() - before) == 3 and cable not in links())
    # the new cable is there before it has its address
    eventually(lambda: "hello" in here.exec("client", "wget", "-q", "-O", "-", "http://web/", code=None))
    here.corral("down")
    eventually(lambda: not made & links())
    assert rules(instance) == []
    assert machine.read("/proc/sys/net/ipv4/ip_forward") == forwarding
