"""Where systemd-resolved answers the machine's programs, it is told whom to ask for the names of a project: /etc/hosts stays as it is."""

from collections.abc import Iterator

import pytest

from tests.guests.debian.guest import Guest

LAB = """
services:
  namenode: {image: host, init: true, command: sleep 10000}
  worker: {image: host, init: true, command: sleep 10000, scale: 2}
networks:
  default: {ipam: {config: [{subnet: 10.61.0.0/24}]}}
"""
DIRECTORY = "/srv/lab"
STUB = "/run/systemd/resolve/stub-resolv.conf"
USERS = "127.0.0.1 localhost guest\n"
ADDRESS_OF = "getent ahostsv4"
TOLD = "resolvectl dns | grep 10.61.0.1"


@pytest.fixture(scope="module")
def lab(guest: Guest) -> Iterator[Guest]:
    """A machine whose programs ask systemd-resolved, and a project that is up."""
    guest.sh(f"systemctl start systemd-resolved && ln -sf {STUB} /etc/resolv.conf")
    guest.sh(f"mkdir -p {DIRECTORY} && cat >{DIRECTORY}/compose.yaml", stdin=LAB)
    guest.sh("corral up -d", directory=DIRECTORY)
    assert guest.sh(f"{ADDRESS_OF} namenode.lab", code=None) == "", "nobody has asked for it"
    said = guest.sh("corral hosts on", directory=DIRECTORY)
    assert "this machine has the names of project lab: systemd-resolved asks 10.61.0.1:" in said
    yield guest
    guest.sh("corral down", directory=DIRECTORY)


def assert_names_are_known(guest: Guest) -> None:
    lines = guest.sh("corral hosts", directory=DIRECTORY).splitlines()
    found = {line.split()[1]: line.split()[0] for line in lines if line.startswith("10.61.")}
    assert {"namenode.lab", "worker-1.lab", "worker-2.lab"} <= found.keys()
    for name, address in found.items():
        guest.eventually(f"{ADDRESS_OF} {name}", f"{address} ")
        assert guest.sh(f"getent hosts {address}").split()[1] == name
    assert guest.sh("cat /etc/hosts") == USERS


def test_the_machines_programs_find_names_and_addresses(lab: Guest) -> None:
    assert_names_are_known(lab)
    assert lab.sh(f"{ADDRESS_OF} nobody.lab", code=None) == ""
    assert "nameserver 127.0.0.53" in lab.sh("cat /etc/resolv.conf")


def test_a_node_more_is_known_at_once(lab: Guest) -> None:
    lab.sh("corral up -d --scale worker=3", directory=DIRECTORY)
    lab.eventually(f"{ADDRESS_OF} worker-3.lab", "10.61.0.")
    lab.sh("corral up -d --scale worker=2", directory=DIRECTORY)


def test_a_resolved_that_starts_again_or_was_told_otherwise_is_told_again(lab: Guest) -> None:
    lab.sh("systemctl restart systemd-resolved")
    assert_names_are_known(lab)
    bridge = lab.sh("ip -o addr | grep 10.61.0.1/ | awk '{print $2}'").strip()
    lab.sh(f"resolvectl revert {bridge}")
    assert_names_are_known(lab)


def test_without_it_the_names_are_in_the_hosts_file_and_with_it_they_go_from_there(lab: Guest) -> None:
    lab.sh("systemctl stop systemd-resolved && rm /etc/resolv.conf && echo nameserver 203.0.113.2 >/etc/resolv.conf")
    lab.eventually("cat /etc/hosts", "namenode.lab")
    assert lab.sh(f"{ADDRESS_OF} namenode.lab").startswith("10.61.0.")
    lab.sh(f"systemctl start systemd-resolved && ln -sf {STUB} /etc/resolv.conf")
    lab.eventually("grep -c lab /etc/hosts || true", "0")
    assert_names_are_known(lab)


def test_what_is_asked_to_be_off_or_goes_down_is_known_no_more(lab: Guest) -> None:
    lab.sh("corral hosts off", directory=DIRECTORY)
    assert lab.sh(f"{ADDRESS_OF} namenode.lab", code=None) == ""
    assert lab.sh(TOLD, code=None) == ""
    lab.sh("corral hosts on", directory=DIRECTORY)
    assert_names_are_known(lab)
    lab.sh("corral down", directory=DIRECTORY)
    assert lab.sh(f"{ADDRESS_OF} namenode.lab", code=None) == ""
    assert lab.sh(TOLD, code=None) == ""
    assert lab.sh("cat /etc/hosts") == USERS
