"""Under systemd the daemon is a unit, and what must outlive it is in a scope: it makes cgroups below that only, and a daemon that is
stopped, killed or started again costs no container anything."""

import re
from collections.abc import Iterator

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

KILLS = """
[Login]
KillUserProcesses=yes
KillExcludeUsers=nobody
"""
"""Of whoever logs in; unless somebody else is named, root is left out."""

SESSION = f"""
corral up -d >/dev/null 2>&1
setsid nohup sleep 1000 </dev/null >/dev/null 2>&1 &
echo sleep=$!
echo left=$(cat /proc/$!/cgroup)
echo session=$(cat /proc/self/cgroup)
echo daemon=$(systemctl show --value -p MainPID corral.service)
echo web=$({PID})
"""
"""Of a login: `left` is where the process is that it leaves."""


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


@pytest.fixture
def login(guest: Guest) -> Iterator[str]:
    """How root logs in to run a command, where a session's end is the end of all that it leaves."""
    guest.sh("mkdir -p /run/systemd/logind.conf.d && cat >/run/systemd/logind.conf.d/kill.conf", stdin=KILLS)
    guest.sh("systemctl restart systemd-logind")
    yield "systemd-run --quiet --wait --pipe -p User=root -p PAMName=login -p WorkingDirectory=/srv/lab"
    guest.sh("rm /run/systemd/logind.conf.d/kill.conf && systemctl restart systemd-logind")


def test_it_outlives_the_login_that_started_it(guest: Guest, lab: str, login: str) -> None:
    guest.sh("corral down -t 0 && corral daemon stop", directory=lab)
    guest.sh("cat >/srv/session", stdin=SESSION)
    said = properties(guest.sh(f"{login} sh /srv/session"))
    assert re.fullmatch(r"0::/user\.slice/user-0\.slice/session-\w+\.scope", said["session"])
    assert said["left"] == said["session"], "what is not a unit is the session's"
    guest.eventually(f"test -d /proc/{said['sleep']} || echo gone", "gone")
    scope = said["session"].rpartition("/")[2]
    guest.eventually(f"systemctl is-active {scope}", "inactive")
    guest.eventually("loginctl --no-legend | wc -l", "0\n")
    found = properties(guest.sh(SHOW))
    assert (found["ActiveState"], found["MainPID"], found["NRestarts"]) == ("active", said["daemon"], "0")
    assert pid_of_web(guest, lab) == said["web"]
    assert guest.sh(ASK) == "web\n"
    guest.sh("corral plan", directory=lab)
    ours = guest.sh("pgrep -f '^corral (daemon|zygote|shim|dns|init)'").split()
    assert len(ours) == 5
    assert "user.slice" not in guest.sh(f"cat {' '.join(f'/proc/{pid}/cgroup' for pid in ours)}")


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
