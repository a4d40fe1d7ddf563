"""A reboot brings every project back: in order, with the same addresses, ports and content, each container as its restart policy says.

Once the guest loses its power from one moment to the next, once it goes down as machines do.
"""

import json
import time

import pytest

from tests.guests.debian.guest import Guest

LAB = """
services:
  db:
    image: host
    init: true
    restart: always
    command: [sh, -c, "date +%s.%N >>/data/starts; echo $$(cat /proc/sys/kernel/random/boot_id) >>/data/boots; sync; sleep 3; touch /tmp/ready; exec sleep 10000"]
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 1s, start_period: 60s}
    volumes: ["data:/data"]
  app:
    image: host
    init: true
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    command: [sh, -c, "mkdir -p /tmp/www; hostname -i >/tmp/www/index.html; exec busybox httpd -f -p 80 -h /tmp/www"]
    networks: {lab: {ipv4_address: 172.29.5.9}}
    ports: ["8080:80", "80"]
  front:
    image: host
    init: true
    restart: always
    depends_on: [app]
    command: sleep 10000
    networks: [lab]
  failing: {image: host, init: true, restart: on-failure, command: [sh, -c, "trap 'exit 3' TERM; sleep 10000 & wait"]}
  polite: {image: host, init: true, restart: on-failure, command: [sh, -c, "trap 'exit 0' TERM; sleep 10000 & wait"]}
  once: {image: host, init: true, command: sleep 10000}
  by-hand-always: {image: host, init: true, restart: always, command: sleep 10000}
  by-hand-unless: {image: host, init: true, restart: unless-stopped, command: sleep 10000}
networks:
  default: {}
  lab: {ipam: {config: [{subnet: 172.29.5.0/24}]}}
volumes: {data: {}}
"""
DIRECTORY = "/srv/lab"
ALWAYS = {"db", "app", "front", "failing", "by-hand-always"}


def rows(guest: Guest) -> dict[str, dict[str, object]]:
    lines = guest.sh("corral ps -a --format json", directory=DIRECTORY).splitlines()
    return {str(row["Service"]): row for row in map(json.loads, lines)}


def running(guest: Guest) -> set[str]:
    return {name for name, row in rows(guest).items() if row["State"] == "running"}


def await_running(guest: Guest, wanted: set[str]) -> None:
    deadline = time.monotonic() + 120
    while (found := running(guest)) != wanted:
        assert time.monotonic() < deadline, f"{found}, not {wanted}"


def addresses(guest: Guest) -> dict[str, str]:
    script = "for each in db app front; do echo $each $(corral exec -T $each hostname -i); done"
    return dict(line.split(" ", 1) for line in guest.sh(script, directory=DIRECTORY).splitlines())


def started(guest: Guest) -> list[str]:
    """The containers in the order in which this boot's daemon started them."""
    said = guest.sh("journalctl -b -u corral.service -o cat | grep ' start: '")
    return [line.split("container:")[1].split()[0] for line in said.splitlines()]


@pytest.fixture(scope="module")
def before(guest: Guest) -> dict[str, object]:
    """The project is up, the unit installed; what is to be so again."""
    guest.sh(
        "sed 's|@corral@|/usr/local/bin/corral|' /opt/corral/packaging/corral.service >/etc/systemd/system/corral.service"
    )
    guest.sh("systemctl daemon-reload && systemctl enable --now corral.service")
    guest.sh(f"mkdir -p {DIRECTORY} && cat >{DIRECTORY}/compose.yaml", stdin=LAB)
    guest.sh("corral up -d --wait", directory=DIRECTORY)
    guest.sh("corral stop -t 1 by-hand-always by-hand-unless", directory=DIRECTORY)
    return {"addresses": addresses(guest), "ports": guest.sh("corral port app 80", directory=DIRECTORY)}


def assert_back(guest: Guest, before: dict[str, object], starts: int) -> None:
    order = started(guest)
    assert order.index("db") < order.index("app") < order.index("front")
    assert addresses(guest) == before["addresses"]
    assert guest.sh("corral port app 80", directory=DIRECTORY) == before["ports"]
    assert guest.sh("timeout 5 busybox wget -qO- http://127.0.0.1:8080/") == "172.29.5.9\n"
    assert guest.sh(
        "corral exec -T db wc -l </dev/null; corral exec -T db sh -c 'wc -l </data/starts'",
        directory=DIRECTORY,
        code=None,
    ).split()[-1] == str(starts)
    assert len(set(guest.sh("corral exec -T db cat /data/boots", directory=DIRECTORY).split())) == starts
    assert "resources are as declared" in guest.sh("corral plan", directory=DIRECTORY, code=None)


def test_after_the_power_was_cut(guest: Guest, before: dict[str, object]) -> None:
    guest.sh("sync")
    boot = guest.boot_id
    guest.cut_power()
    guest.boot()
    assert guest.boot_id != boot
    guest.eventually("systemctl is-active corral.service", "active\n", 120)
    await_running(guest, ALWAYS | {"polite"})
    found = rows(guest)
    assert found["once"]["State"] == "exited"
    assert "by-hand-unless" not in running(guest)
    assert_back(guest, before, 2)


def test_after_a_clean_reboot(guest: Guest, before: dict[str, object]) -> None:
    guest.sh("corral stop -t 1 by-hand-always && corral start once", directory=DIRECTORY)
    guest.power_off()
    guest.boot()
    guest.eventually("systemctl is-active corral.service", "active\n", 120)
    await_running(guest, ALWAYS)
    ended = guest.sh("journalctl -b -1 -u corral.service -o cat")
    assert "container:db ends with the machine" in ended
    found = rows(guest)
    assert (found["polite"]["State"], found["polite"]["ExitCode"]) == ("exited", 0), "it was asked to end, and did"
    assert found["once"]["State"] == "exited"
    assert_back(guest, before, 3)


def test_a_daemon_that_is_merely_replaced_leaves_what_was_stopped(guest: Guest, before: dict[str, object]) -> None:
    guest.sh("corral stop -t 1 by-hand-always", directory=DIRECTORY)
    guest.sh("systemctl restart corral.service")
    assert "by-hand-always" not in running(guest)
    assert running(guest) == ALWAYS - {"by-hand-always"}


def test_down_leaves_nothing(guest: Guest, before: dict[str, object]) -> None:
    guest.sh("corral down -v -t 1", directory=DIRECTORY)
    assert guest.sh("ip -br link | grep -c ^cb", code=1) == "0\n"
    guest.sh("systemctl disable --now corral.service")
