"""Under systemd the daemon is a unit, and what must outlive it is in a scope: it makes cgroups below that only, and a daemon that is
stopped, killed or started again costs no container anything."""

import re

import pytest

from tests.guests.debian.guest import Guest

LAB = """
services:
  web:
    image: host
    init: true
    restart: always
    command: [sh, -c, "mkdir -p /tmp/www; hostname >/tmp/www/index.html; exec busybox httpd -f -p 80 -h /tmp/www"]
    ports: ["8080:80"]
    mem_limit: 64m
    pids_limit: 50
"""
SHOW = "systemctl show corral.service -p ActiveState -p SubState -p Delegate -p KillMode -p Transient -p MainPID -p NRestarts"
SCOPE = "systemctl show 'corral-*.scope' -p Id -p ActiveState -p Delegate -p TasksMax -p Slice"
ASK = "timeout 5 busybox wget -qO- http://127.0.0.1:8080/"
PID = "corral ps --format json | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())[\"Pid\"])'"


def properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split())


@pytest.fixture
def lab(guest: Guest) -> str:
    """The folder of a project that is up."""
    guest.sh("mkdir -p /srv/lab && cat >/srv/lab/compose.yaml", stdin=LAB)
    guest.sh("corral up -d", directory="/srv/lab")
    guest.eventually(ASK, "web")
    return "/srv/lab"


def pid_of_web(guest: Guest, lab: str) -> str:
    return guest.sh(PID, directory=lab).strip()


def test_the_first_command_starts_the_daemon_as_a_unit(guest: Guest, lab: str) -> None:
    found = properties(guest.sh(SHOW))
    assert (found["ActiveState"], found["SubState"], found["Transient"]) == ("active", "running", "yes")
    assert (found["Delegate"], found["KillMode"]) == ("yes", "process")
    assert guest.sh(f"cat /proc/{found['MainPID']}/cgroup") == "0::/system.slice/corral.service\n"
    assert f"pid {found['MainPID']}" in guest.sh("corral daemon status")
    assert "serves /var/lib/corral" in guest.sh("systemctl status corral.service")


def test_all_cgroups_are_below_its_own(guest: Guest, lab: str) -> None:
    instance = guest.sh("cat /var/lib/corral/instance").strip()
    found = properties(guest.sh(SCOPE))
    assert found == {
        "Id": f"corral-{instance}.scope",
        "ActiveState": "active",
        "Delegate": "yes",
        "TasksMax": "infinity",
        "Slice": "system.slice",
    }
    own = f"/system.slice/corral-{instance}.scope"
    cgroup = guest.sh(f"cat /proc/{pid_of_web(guest, lab)}/cgroup").strip().removeprefix("0::")
    assert cgroup.startswith(f"{own}/corral/{instance}/lab/")
    assert guest.sh(f"cat /sys/fs/cgroup{cgroup}/memory.max") == f"{64 << 20}\n"
    assert guest.sh(f"cat /sys/fs/cgroup{cgroup}/pids.max") == "50\n"
    holders = guest.sh(f"cat $(sed 's|.*|/proc/&/cmdline|' /sys/fs/cgroup{own}/supervisor/cgroup.procs) | tr '\\0' ' '")
    assert {"zygote", "shim", "dns"} <= set(holders.split())
    everywhere = guest.sh("find /sys/fs/cgroup -path '*corral*' -type d").split()
    assert all(re.match(f"/sys/fs/cgroup(/system.slice/corral.service|{own}/.*|{own})$", path) for path in everywhere)


def test_its_log_is_the_journal(guest: Guest, lab: str) -> None:
    assert "container:web start" in guest.sh("journalctl -u corral.service -o cat -p info")
    assert "container:web start" not in guest.sh("journalctl -u corral.service -o cat -p warning")
    assert guest.sh("test -s /run/corral/daemon.log", code=1) == ""


def test_a_killed_daemon_is_started_again_and_finds_its_containers(guest: Guest, lab: str) -> None:
    before = pid_of_web(guest, lab)
    daemon = properties(guest.sh(SHOW))["MainPID"]
    guest.sh(f"kill -9 {daemon}")
    guest.eventually(
        "systemctl show corral.service -p NRestarts; systemctl is-active corral.service", "NRestarts=1\nactive\n"
    )
    assert properties(guest.sh(SHOW))["MainPID"] != daemon
    assert pid_of_web(guest, lab) == before
    assert guest.sh(ASK) == "web\n"
    guest.sh("corral plan", directory=lab)


def test_a_stopped_unit_leaves_the_containers_and_the_next_command_starts_it_again(guest: Guest, lab: str) -> None:
    before = pid_of_web(guest, lab)
    guest.sh("systemctl stop corral.service")
    assert guest.sh(f"test -d /proc/{before} && {ASK}") == "web\n"
    assert pid_of_web(guest, lab) == before, "and the command has started it"
    assert properties(guest.sh(SHOW))["ActiveState"] == "active"
    guest.sh("corral daemon stop")
    assert "inactive" in guest.sh("systemctl is-active corral.service", code=None)
    assert guest.sh(ASK) == "web\n"


def test_the_scope_ended_by_hand_ends_all_and_the_daemon_brings_it_back(guest: Guest, lab: str) -> None:
    before = pid_of_web(guest, lab)
    guest.sh("systemctl stop 'corral-*.scope'")
    guest.sh(f"test ! -d /proc/{before}")
    guest.eventually(ASK, "web")
    assert properties(guest.sh(SCOPE))["ActiveState"] == "active"
    assert "timed out" not in guest.sh("journalctl -b -o cat -u 'corral-*.scope'"), (
        "nobody came into it while it was going"
    )


def test_two_corrals_are_two_units(guest: Guest, lab: str) -> None:
    other = {"CORRAL_ROOT": "/var/lib/other", "CORRAL_RUN": "/run/other"}
    guest.sh("corral daemon start", environment=other)
    units = guest.sh("systemctl list-units --plain --no-legend 'corral*.service'").splitlines()
    assert len(units) == 2
    guest.sh("corral daemon stop", environment=other)
    guest.eventually("systemctl list-units --plain --no-legend 'corral*.service' 'corral*.scope' | wc -l", "2\n")


def test_a_daemon_that_cannot_run_says_why(guest: Guest) -> None:
    guest.sh("mkdir -p /run/bad && touch /var/lib/bad")
    said = guest.sh(
        "corral daemon start", code=1, environment={"CORRAL_ROOT": "/var/lib/bad", "CORRAL_RUN": "/run/bad"}
    )
    assert "cannot start the daemon as corral-" in said
    assert "/var/lib/bad" in said


def test_down_leaves_no_unit_once_the_daemon_ends(guest: Guest, lab: str) -> None:
    guest.sh("corral down -v -t 1", directory=lab)
    guest.sh("corral daemon stop")
    guest.eventually(
        "systemctl list-units --all --plain --no-legend 'corral*.service' 'corral*.scope'; echo none", "none\n"
    )
    guest.eventually("find /sys/fs/cgroup -path '*corral-*'; echo none", "none\n")
    assert guest.sh("ls /run/corral") == ""
