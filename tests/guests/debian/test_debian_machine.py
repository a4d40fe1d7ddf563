"""What containers use of the machine's: its journal as a log driver, a share of its NFS server's, its Java, and AppArmor."""

import json
from collections.abc import Iterator

import pytest

from tests.guests.debian.guest import Guest

JOURNAL = "/srv/journal"
WRITES = """
services:
  a:
    image: host
    init: true
    command: [sh, -c, "echo first; echo bad >&2; printf '%s' unfinished; exec sleep 10000"]
    labels: {team-name: red, other: x}
    environment: {STAGE: one}
    logging: {driver: journald, options: {tag: "{{.Name}}", labels: team-name, env: STAGE}}
"""

SHARE = "/srv/share"
SHARES = """
services:
  a: {image: host, init: true, command: sleep 10000, network_mode: none, volumes: ["share:/s"]}
  b: {image: host, init: true, command: sleep 10000, volumes: ["share:/s:ro"]}
volumes: {share: {driver_opts: {type: nfs4, device: ":/srv/export", o: "addr=127.0.0.1,vers=4.2,noatime"}}}
"""

CONFINED = "/srv/confined"
PROFILE = """
profile corral-test flags=(attach_disconnected) {
  file,
  capability,
  network,
  signal,
  deny /tmp/secret r,
}
"""
IS_CONFINED = """
services:
  a:
    image: host
    init: true
    command: [sh, -c, "echo known >/tmp/secret; echo known >/tmp/other; exec sleep 10001"]
    security_opt: [apparmor=corral-test]
  b:
    image: host
    user: "1000"
    command: sleep 10002
    userns_mode: auto
    security_opt: [apparmor=corral-test, "no-new-privileges:true"]
  c: {image: host, init: true, command: sleep 10003, security_opt: [apparmor=unconfined]}
"""

JVM = "/srv/jvm"
SEES = """
services:
  jvm: {image: host, network_mode: none, mem_limit: 300m, cpus: 1.5, command: [java, "-XshowSettings:system", -version]}
"""


def entries(guest: Guest, *matches: str) -> dict[str, dict[str, str]]:
    """Mapping from message to the entry of the journal, of those that match."""
    said = guest.sh(f"journalctl -o json --no-pager {' '.join(matches)}")
    return {entry["MESSAGE"]: entry for entry in map(json.loads, said.splitlines()) if "MESSAGE" in entry}


@pytest.mark.key("services.logging", "services.logging.driver", "services.logging.options")
@pytest.mark.key("services.logging.options.tag", "services.logging.options.labels", "services.logging.options.env")
def test_the_journal_has_each_line_with_its_fields(guest: Guest) -> None:
    guest.sh(f"mkdir -p {JOURNAL} && cat >{JOURNAL}/compose.yaml", stdin=WRITES)
    guest.sh("corral up -d", directory=JOURNAL)
    guest.eventually("journalctl -o cat --no-pager CONTAINER_NAME=journal-a-1", "bad\n")
    found = entries(guest, "CONTAINER_NAME=journal-a-1")
    uid = json.loads(guest.sh("corral ps --format json", directory=JOURNAL))["ID"]
    assert (found["first"]["PRIORITY"], found["bad"]["PRIORITY"]) == ("6", "3")
    for entry in (found["first"], found["bad"]):
        assert (entry["CONTAINER_TAG"], entry["SYSLOG_IDENTIFIER"]) == ("journal-a-1", "journal-a-1")
        assert entry["CONTAINER_ID"] == uid
        assert entry["CONTAINER_ID_FULL"].startswith(uid)
        assert entry["IMAGE_NAME"] == "host"
        assert (entry["TEAM_NAME"], entry["STAGE"]) == ("red", "one")
        assert "OTHER" not in entry
        assert entry["_TRANSPORT"] == "journal"
    assert entries(guest, f"CONTAINER_ID={uid}").keys() >= {"first", "bad"}
    assert "first" in guest.sh("corral logs", directory=JOURNAL), "and corral shows it, too"


def test_what_was_written_while_no_daemon_ran_comes_later_and_what_is_removed_has_been_sent(guest: Guest) -> None:
    guest.sh("corral daemon stop")
    pid = guest.sh("pgrep -xf 'sleep 10000'").split()[0]
    guest.sh(f"echo ' while nobody looked' >/proc/{pid}/fd/1")
    assert "nobody looked" not in guest.sh("journalctl -o cat --no-pager CONTAINER_NAME=journal-a-1")
    guest.sh("corral ps", directory=JOURNAL)
    guest.eventually("journalctl -o cat --no-pager CONTAINER_NAME=journal-a-1", "nobody looked")
    guest.sh("corral exec -T a sh -c 'echo last >/proc/1/fd/1'; corral down -t 1", directory=JOURNAL)
    found = guest.sh("journalctl -o cat --no-pager CONTAINER_NAME=journal-a-1").splitlines()
    assert [found.count(line) for line in ("first", "bad", "last")] == [1, 1, 1]


@pytest.fixture
def server(guest: Guest) -> Iterator[None]:
    """An NFS server for nobody but the machine itself."""
    guest.sh("mkdir -p /srv/export && echo shared >/srv/export/file")
    guest.sh("echo '/srv/export 127.0.0.1(rw,no_root_squash,no_subtree_check)' >/etc/exports")
    guest.sh("systemctl start nfs-server && exportfs -v | grep -q /srv/export")
    yield
    guest.sh("systemctl stop nfs-server")


@pytest.mark.key("volumes.driver_opts")
def test_a_volume_may_be_a_share_of_a_server_that_only_the_machine_reaches(guest: Guest, server: None) -> None:
    guest.sh(f"mkdir -p {SHARE} && cat >{SHARE}/compose.yaml", stdin=SHARES)
    guest.sh("corral up -d", directory=SHARE)
    for service in ("a", "b"):
        assert guest.sh(f"corral exec -T {service} cat /s/file", directory=SHARE) == "shared\n"
    mounts = guest.sh("corral exec -T a grep ' /s ' /proc/self/mounts", directory=SHARE)
    assert mounts.startswith(":/srv/export /s nfs4 rw,")
    assert "noatime" in mounts
    guest.sh("corral exec -T a touch /s/from-a && test -e /srv/export/from-a", directory=SHARE)
    guest.sh("corral exec -T b touch /s/from-b", directory=SHARE, code=1)
    assert "nfs4" not in guest.sh("cat /proc/mounts"), "it is mounted in the containers alone"
    guest.sh("corral down -v -t 1", directory=SHARE)
    assert guest.sh("ls /srv/export") == "file\nfrom-a\n", "what is the server's stays"


@pytest.mark.timeout(300)
def test_a_jvm_sees_the_limits_of_its_container(guest: Guest) -> None:
    guest.sh(f"mkdir -p {JVM} && cat >{JVM}/compose.yaml", stdin=SEES)
    guest.sh("corral up -d && corral wait jvm", directory=JVM, timeout_s=200)
    said = guest.sh("corral logs --no-log-prefix jvm; corral down", directory=JVM)
    assert "Provider: cgroupv2" in said
    assert "Memory Limit: 300.00M" in said
    assert "CPU Quota: 150000us" in said
    assert "Effective CPU Count: 2" in said


@pytest.fixture
def profile(guest: Guest) -> Iterator[None]:
    """The profile's file is there, and not loaded; nothing of it is left afterwards."""
    assert guest.sh("cat /sys/module/apparmor/parameters/enabled") == "Y\n"
    guest.sh(f"mkdir -p {CONFINED} && cat >{CONFINED}/profile", stdin=PROFILE)
    guest.sh(f"cat >{CONFINED}/compose.yaml", stdin=IS_CONFINED)
    yield
    guest.sh("corral down -t 1", directory=CONFINED)
    guest.sh("apparmor_parser --skip-cache -R profile", directory=CONFINED, code=None)


def label_of(guest: Guest, command: str) -> str:
    pid = guest.sh(f"pgrep -xf '{command}'").split()[0]
    return guest.sh(f"cat /proc/{pid}/attr/current").strip()


@pytest.mark.key("services.security_opt")
def test_a_profile_of_apparmor_confines_what_runs_in_a_container(guest: Guest, profile: None) -> None:
    said = guest.sh("corral up -d", directory=CONFINED, code=1)
    assert "services.a.security_opt[0]: the AppArmor profile corral-test cannot be applied: " in said
    assert "no profile corral-test is loaded" in said
    assert "apparmor_parser -r" in said
    guest.sh("apparmor_parser --skip-cache -r profile && corral up -d", directory=CONFINED)
    assert [label_of(guest, f"sleep {number}") for number in (10001, 10002, 10003)] == [
        "corral-test (enforce)",
        "corral-test (enforce)",
        "unconfined",
    ]
    init = guest.sh("pgrep -f '^corral init sh'").split()[0]
    assert guest.sh(f"cat /proc/{init}/attr/current") == "corral-test (enforce)\n"
    inside = "corral exec -T a sh -c"
    assert guest.sh(f"{inside} 'cat /tmp/other /proc/self/attr/current'", directory=CONFINED).splitlines() == [
        "known",
        "corral-test (enforce)",
    ]
    assert "Permission denied" in guest.sh(f"{inside} 'cat /tmp/secret 2>&1'", directory=CONFINED, code=1)
    assert "enforce" in guest.sh("corral exec -T b cat /proc/self/attr/current", directory=CONFINED)
    edited = IS_CONFINED.replace("[apparmor=corral-test]", "[apparmor=unconfined]")
    guest.sh(f"cat >{CONFINED}/compose.yaml", stdin=edited)
    assert "apparmor corral-test -> unconfined" in guest.sh("corral plan", directory=CONFINED, code=2)
    guest.sh("corral up -d", directory=CONFINED)
    assert label_of(guest, "sleep 10001") == "unconfined"
    assert guest.sh("corral exec -T a cat /tmp/secret", directory=CONFINED) == "known\n"
