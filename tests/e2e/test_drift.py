"""What somebody else breaks is mended: rules, cables and processes within a second, the rest within ten, and nothing else is touched."""

import os
import pathlib
import signal
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

SECOND_S, SLOW_S = 1.0, 10.0
MARGIN_S = 5.0
"""Of a busy machine, where a look is slow and the claim is ten seconds."""

PAIR = """
services:
  web: {image: IMAGE, init: true, command: httpd -f -p 80 -h /www, ports: ["8060:80"], mem_limit: 64m, networks: [lab]}
  db: {image: IMAGE, init: true, command: sleep 1000, networks: [lab]}
networks: {lab: {ipam: {config: [{subnet: 10.61.0.0/24}]}}}
"""
BREAK_RULES = {
    "iptables -F": "iptables -F",
    "iptables -t nat -F": "iptables -t nat -F",
    "flushed raw": "iptables -t raw -F",
    "our chains flushed": "for c in $(iptables -S | sed -n 's/^-N \\(CORRAL[^ ]*\\).*/\\1/p'); do iptables -F $c || :; done",
    "jumps deleted": 'for t in filter nat raw; do iptables -t $t -S | sed -n "/^-A [A-Z]* .*-j CORRAL/s/^-A/iptables -t $t -D/p" | sh || :; done',
    "all chains deleted": "for t in filter nat raw; do iptables -t $t -F; iptables -t $t -X || :; done",
    "nft flush ruleset": "nft flush ruleset",
}


def mended_s(check: Callable[[], Any]) -> float:
    """Seconds until the check is true."""
    began = time.monotonic()
    eventually(check)
    return time.monotonic() - began


def lan_tcp(lab: Lab, port: int, timeout: float = 3.0) -> str:
    """What the neighbour is told at this port."""
    assert isinstance(lab.machine, machine.Machine)
    return lab.machine.lan.tcp(machine.EXTERNAL, port, timeout)


def firewall(lab: Lab) -> list[str]:
    return lab.machine.firewall()


def links(lab: Lab) -> list[str]:
    """Of the machine, by name: those of ours that are cables or bridges."""
    names = (line.split()[1].partition("@")[0].rstrip(":") for line in lab.machine.sh("ip -o link").splitlines())
    return sorted(name for name in names if name.startswith(("cb", "cv")))


def assert_untouched(lab: Lab, before: dict[str, tuple[int, str]], *but: str) -> None:
    after = identities(lab)
    assert {name for name in before if after[name] != before[name]} == set(but)


def identities(lab: Lab) -> dict[str, tuple[int, str]]:
    return {name: (pid, machine.start_time(pid)) for name, pid in lab.pids().items()}


@pytest.mark.parametrize("command", BREAK_RULES.values(), ids=BREAK_RULES)
def test_broken_rules_are_mended_within_a_second(lab: Lab, command: str) -> None:
    lab.up(PAIR)
    before, rules = identities(lab), firewall(lab)
    took = []
    for _ in range(3):
        lab.machine.sh(command)
        took.append(mended_s(lambda: firewall(lab) == rules))
    assert statistics.median(took) < SECOND_S, took
    assert lan_tcp(lab, 8060) == machine.LAN
    assert_untouched(lab, before)
    lab.corral("plan", code=0)


def test_a_rule_of_somebody_elses_is_left_alone(lab: Lab) -> None:
    lab.machine.sh("iptables -A INPUT -s 192.0.2.7 -j DROP")
    try:
        lab.up(PAIR)
        rules = firewall(lab)
        lab.machine.sh(BREAK_RULES["our chains flushed"])
        eventually(lambda: firewall(lab) == rules)
        assert "-A INPUT -s 192.0.2.7/32 -j DROP" in lab.machine.sh("iptables -S INPUT").splitlines()
        lab.corral("down", "-t", "0")
        assert "-A INPUT -s 192.0.2.7/32 -j DROP" in lab.machine.sh("iptables -S INPUT").splitlines()
    finally:
        lab.machine.sh("iptables -D INPUT -s 192.0.2.7 -j DROP")


def test_a_deleted_cable_is_laid_again_within_a_second(lab: Lab) -> None:
    lab.up(PAIR)
    before, address = identities(lab), lab.address("db")
    pid = machine.Place(before["db-1"][0])
    took = []
    for _ in range(3):
        pid.sh("ip link del eth0")
        took.append(mended_s(lambda: address in pid.sh("ip -4 -br addr show dev eth0 up", check=False)))
    assert statistics.median(took) < SECOND_S, took
    assert lab.exec("db", "ping", "-c1", "-W2", "web")
    assert_untouched(lab, before)


def test_a_cable_whose_end_on_the_machine_is_deleted_is_laid_again(lab: Lab) -> None:
    lab.up(PAIR)
    before = identities(lab)
    cables = [name for name in links(lab) if name.startswith("cv")]
    assert len(cables) == 2
    for cable in cables:
        lab.machine.sh(f"ip link del {cable}")
    assert mended_s(lambda: len([name for name in links(lab) if name.startswith("cv")]) == 2) < SLOW_S + MARGIN_S
    eventually(lambda: lan_tcp(lab, 8060) == machine.LAN)
    assert lab.exec("db", "ping", "-c1", "-W2", "web")
    assert_untouched(lab, before)


def test_a_cable_that_was_pulled_or_switched_off_is_put_back(lab: Lab) -> None:
    lab.up(PAIR)
    before = identities(lab)
    for command in ("nomaster", "down"):
        for cable in (name for name in links(lab) if name.startswith("cv")):
            lab.machine.sh(f"ip link set {cable} {command}")
        assert mended_s(lambda: lan_tcp(lab, 8060, 0.2) == machine.LAN) < SLOW_S + MARGIN_S
    assert_untouched(lab, before)


def test_a_deleted_bridge_is_built_again_with_its_cables(lab: Lab) -> None:
    lab.up(PAIR)
    before, addresses = identities(lab), [lab.address("web"), lab.address("db")]
    bridge = next(name for name in links(lab) if name.startswith("cb"))
    lab.machine.sh(f"ip link del {bridge}")
    reached = mended_s(lambda: lan_tcp(lab, 8060, 0.2) == machine.LAN)
    assert reached < SLOW_S + MARGIN_S
    assert len([name for name in links(lab) if name.startswith("cb")]) == 1
    assert lab.exec("db", "ping", "-c1", "-W2", "web")
    assert [lab.address("web"), lab.address("db")] == addresses
    assert_untouched(lab, before)
    lab.corral("plan", code=0)


def test_a_gateway_address_that_was_taken_away_is_given_back(lab: Lab) -> None:
    lab.up(PAIR)
    before = identities(lab)
    bridge = next(name for name in links(lab) if name.startswith("cb"))
    lab.machine.sh(f"ip addr flush dev {bridge}")
    assert mended_s(lambda: "10.61.0.1/24" in lab.machine.sh(f"ip -br addr show {bridge}")) < SLOW_S + MARGIN_S
    assert_untouched(lab, before)


def test_a_changed_limit_is_put_back_under_the_running_process(lab: Lab) -> None:
    lab.up(PAIR)
    before = identities(lab)
    folder = machine.cgroup_of(before["web-1"][0], "memory")
    names = ("memory.limit_in_bytes", "memory.max")
    limit = next(folder / name for name in names if (folder / name).exists())
    assert limit.read_text() == f"{64 << 20}\n"
    limit.write_text(str(48 << 20))
    assert mended_s(lambda: limit.read_text() == f"{64 << 20}\n") < SLOW_S + MARGIN_S
    assert_untouched(lab, before)


def test_a_changed_hosts_file_is_written_again(lab: Lab) -> None:
    lab.up(PAIR)
    before = identities(lab)
    hosts = pathlib.Path(f"/proc/{before['db-1'][0]}/root/etc/hosts")
    text = hosts.read_text()
    assert lab.address("db") in text
    lab.exec("db", "sh", "-c", "echo 192.0.2.1 wrong > /etc/hosts")
    assert mended_s(lambda: hosts.read_text() == text) < SLOW_S + MARGIN_S
    assert_untouched(lab, before)


def test_a_killed_process_is_back_within_a_second_where_the_file_says_so(lab: Lab) -> None:
    lab.up(PAIR.replace("mem_limit: 64m", "restart: always").replace("sleep 1000", "sleep 999"))
    first, address = lab.pid("web"), lab.address("web")
    before = identities(lab)
    httpds = lambda: {pid for pid, line in machine.in_cgroups(lab.owner.instance).items() if "httpd" in line}  # noqa: E731
    those = httpds()
    os.kill(first, signal.SIGKILL)
    assert mended_s(lambda: httpds() - those) < SECOND_S + 1, "with a first rest of a tenth of a second"
    eventually(lambda: lan_tcp(lab, 8060) == machine.LAN)
    assert lab.address("web") == address
    assert_untouched(lab, before, "web-1")


def test_forwarding_switched_off_is_switched_on_again(lab: Lab) -> None:
    lab.up(PAIR)
    before = identities(lab)
    lab.machine.sh("sysctl -qw net.ipv4.ip_forward=0")
    assert mended_s(lambda: lab.machine.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n") < SLOW_S + MARGIN_S
    assert lan_tcp(lab, 8060) == machine.LAN
    assert_untouched(lab, before)


def test_what_was_broken_while_the_daemon_was_dead_is_mended_when_it_comes_back(lab: Lab) -> None:
    lab.up(PAIR)
    before, rules = identities(lab), firewall(lab)
    lab.kill("corral daemon")
    lab.machine.sh("iptables -t nat -F; iptables -F; sysctl -qw net.ipv4.ip_forward=0")
    machine.Place(before["db-1"][0]).sh("ip link del eth0")
    lab.corral("daemon", "start")
    eventually(lambda: firewall(lab) == rules)
    eventually(lambda: lan_tcp(lab, 8060) == machine.LAN)
    eventually(lambda: lab.exec("db", "ping", "-c1", "-W2", "web", code=None))
    assert_untouched(lab, before)
