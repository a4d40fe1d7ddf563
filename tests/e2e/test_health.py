"""Health and order: what starts when, what `up` waits for, and when it gives up."""

import itertools
import re
import subprocess
import time

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

LAZY = """
services:
  db:
    image: IMAGE
    init: true
    command: sh -c "echo db; sleep 1000"
    healthcheck: {{test: [CMD, test, -e, /tmp/ready], interval: 0.1s, timeout: 2s, retries: 100000, start_period: 0s}}
  app:
    image: IMAGE
    init: true
    command: sleep 1000
    depends_on: {{db: {{condition: service_healthy}}}}
{}
"""


def wait_until_ps(lab: Lab, name: str, **wanted: object) -> None:
    def is_so() -> bool:
        line = lab.ps().get(name, {})
        return {key: line.get(key) for key in wanted} == wanted

    eventually(is_so)


@pytest.mark.key("services.depends_on.condition", "services.healthcheck")
def test_a_service_starts_when_what_it_depends_on_is_healthy(lab: Lab) -> None:
    lab.write(LAZY.format(""))
    with lab.popen("up", "-d") as up:
        wait_until_ps(lab, "db-1", State="running", Health="starting")
        assert lab.states()["app-1"] == "created"
        lab.exec("db", "touch", "/tmp/ready")
        assert up.wait(20) == 0
    assert lab.ps()["db-1"]["Health"] == "healthy"
    assert lab.states()["app-1"] == "running"
    db, app = lab.pid("db"), lab.pid("app")
    assert int(machine.start_time(db)) <= int(machine.start_time(app))


@pytest.mark.key("services.depends_on", "services.depends_on.condition")
def test_a_service_starts_when_what_it_depends_on_has_started(lab: Lab) -> None:
    lab.up(
        """
services:
  b: {image: IMAGE, command: cat /proc/self/stat, depends_on: [a]}
  a: {image: IMAGE, init: true, command: sleep 1000}
"""
    )
    eventually(lambda: lab.states()["b-1"] == "exited")
    b = lab.out("logs", "--no-log-prefix", "b").rpartition(")")[2].split()[19]
    assert int(machine.start_time(lab.pid("a"))) <= int(b)


@pytest.mark.key("services.depends_on.condition")
def test_a_service_starts_when_what_it_depends_on_has_completed(lab: Lab) -> None:
    lab.up(
        """
services:
  app:
    image: IMAGE
    command: cat /data/made
    volumes: [shared:/data]
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate:
    image: IMAGE
    command: sh -c "sleep 0.3; echo made > /data/made"
    volumes: [shared:/data]
volumes: {shared: {}}
"""
    )
    eventually(lambda: lab.states() == {"app-1": "exited", "migrate-1": "exited"})
    assert lab.out("logs", "--no-log-prefix", "app") == "made\n"


def test_a_dependency_that_fails_fails_the_up_at_once(lab: Lab) -> None:
    lab.write(
        """
services:
  app:
    image: IMAGE
    command: sleep 1000
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate: {image: IMAGE, command: sh -c "exit 3"}
"""
    )
    began = time.monotonic()
    said = lab.refusal("up", "-d")
    assert time.monotonic() - began < 10
    assert "migrate" in said
    assert re.search(r"\b3\b", said)
    assert lab.states() == {"app-1": "created", "migrate-1": "exited"}


def test_a_dependency_that_becomes_unhealthy_fails_the_up_at_once(lab: Lab) -> None:
    lab.write(LAZY.format("").replace("100000", "2"))
    began = time.monotonic()
    said = lab.refusal("up", "-d")
    assert time.monotonic() - began < 10
    assert "container:db is unhealthy: its healthcheck exited 1" in said
    assert lab.states() == {"app-1": "created", "db-1": "running"}


@pytest.mark.key("services.depends_on.required")
def test_a_dependency_that_is_not_required_is_not_waited_for(lab: Lab) -> None:
    lab.up(
        """
services:
  app:
    image: IMAGE
    init: true
    command: sleep 1000
    depends_on: {extra: {condition: service_started, required: false}}
  extra: {image: IMAGE, command: sleep 1000, profiles: [extra]}
"""
    )
    assert lab.states() == {"app-1": "running"}


@pytest.mark.key("services.depends_on.restart")
def test_restart_true_takes_the_dependent_along(lab: Lab) -> None:
    text = """
services:
  db: {image: IMAGE, init: true, command: sleep 1000, stop_grace_period: 0s}
  app:
    image: IMAGE
    init: true
    command: sleep 1000
    stop_grace_period: 0s
    depends_on: {db: {condition: service_started, restart: true}}
  other: {image: IMAGE, init: true, command: sleep 1000, depends_on: [db]}
"""
    lab.up(text)
    before = lab.pids()
    lab.up(
        text.replace(
            "db: {image: IMAGE, init: true, command: sleep 1000", "db: {image: IMAGE, init: true, command: sleep 999"
        )
    )
    after = lab.pids()
    assert after["db-1"] != before["db-1"]
    assert after["app-1"] != before["app-1"], "restarted with it"
    assert after["other-1"] == before["other-1"]


def test_wait_returns_when_all_are_healthy(lab: Lab) -> None:
    lab.write(LAZY.format(""))
    with lab.popen("up", "--wait") as up:
        wait_until_ps(lab, "db-1", State="running")
        lab.exec("db", "touch", "/tmp/ready")
        assert up.wait(20) == 0
    assert lab.ps()["db-1"]["Health"] == "healthy"


def test_without_wait_up_returns_when_all_are_started(lab: Lab) -> None:
    lab.up(LAZY.format("").partition("  app:")[0])
    assert lab.ps()["db-1"]["Health"] == "starting"
    lab.exec("db", "touch", "/tmp/ready")
    wait_until_ps(lab, "db-1", Health="healthy")
    lab.exec("db", "rm", "/tmp/ready")
    assert lab.ps()["db-1"]["State"] == "running"


def test_wait_fails_for_what_exits_with_an_error_and_up_does_not(lab: Lab) -> None:
    failing = "  a: {image: IMAGE, command: sh -c 'echo here; exit 5'}"
    lab.up(LAZY.format(failing).replace("  app:", "  app:\n    profiles: [x]"))
    wait_until_ps(lab, "a-1", State="exited", ExitCode=5)
    with lab.popen("up", "--wait", stderr=subprocess.PIPE) as up:
        eventually(lambda: lab.corral("logs", "a").stdout.count("here") == 2)
        wait_until_ps(lab, "a-1", State="exited", ExitCode=5)
        lab.exec("db", "touch", "/tmp/ready")
        _, said = up.communicate(timeout=20)
        assert up.returncode == 1
    assert re.search(r"container:a: .*\b5\b", said)


def test_wait_timeout_gives_up(lab: Lab) -> None:
    lab.write(LAZY.format(""))
    began = time.monotonic()
    lab.corral("up", "--wait", "--wait-timeout", "1", code=1)
    assert 1 <= time.monotonic() - began < 8
    assert lab.states() == {"app-1": "created", "db-1": "running"}


@pytest.mark.key(
    "services.healthcheck.test",
    "services.healthcheck.interval",
    "services.healthcheck.timeout",
    "services.healthcheck.retries",
)
def test_interval_timeout_and_retries(lab: Lab) -> None:
    """Each probe writes when it ran: that is what the kernel saw of the intervals."""
    lab.up(
        """
services:
  a:
    image: IMAGE
    init: true
    command: sleep 1000
    healthcheck:
      {test: "cat /proc/uptime >> /tmp/probes; cat /tmp/ready", interval: 0.5s, timeout: 10s, retries: 3}
  slow:
    image: IMAGE
    init: true
    command: sleep 1000
    healthcheck: {test: [CMD, sleep, "50"], interval: 0.1s, timeout: 0.3s, retries: 2}
"""
    )
    wait_until_ps(lab, "a-1", Health="unhealthy")
    times = [float(line.split()[0]) for line in lab.exec("a", "cat", "/tmp/probes").splitlines()]
    assert len(times) >= 3, "after three failures"
    between = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(between) > 0.45
    assert min(between) < 2
    probe = lab.ps()["a-1"]["LastProbe"]
    assert probe["ExitCode"] == 1
    assert "/tmp/ready" in probe["Output"]
    assert "a-1 is unhealthy: its healthcheck exited 1: cat: " in lab.corral("ps").stderr
    lab.exec("a", "touch", "/tmp/ready")
    wait_until_ps(lab, "a-1", Health="healthy")
    wait_until_ps(lab, "slow-1", Health="unhealthy")
    assert lab.corral("ps").stderr.endswith("slow-1 is unhealthy: its healthcheck: it took longer than 0.3 s\n")
    assert list(machine.in_cgroups(lab.owner.instance).values()).count("sleep 50") <= 1, "what takes too long is killed"


@pytest.mark.key("services.healthcheck.start_period", "services.healthcheck.start_interval")
def test_start_period_and_start_interval(lab: Lab) -> None:
    """In the start period failures do not count, and probes come in the start interval."""
    lab.up(
        """
services:
  a:
    image: IMAGE
    init: true
    command: sleep 1000
    healthcheck:
      test: [CMD-SHELL, "echo >> /tmp/probes; test -e /tmp/ready"]
      interval: 1h
      retries: 1
      start_period: 1h
      start_interval: 0.1s
"""
    )
    eventually(lambda: len(lab.exec("a", "cat", "/tmp/probes", code=None).splitlines()) > 4)
    assert lab.ps()["a-1"]["Health"] == "starting"
    lab.exec("a", "touch", "/tmp/ready")
    wait_until_ps(lab, "a-1", Health="healthy")


@pytest.mark.key("services.healthcheck.disable")
def test_a_disabled_healthcheck_is_none(lab: Lab) -> None:
    lab.up("services: {a: {image: IMAGE, init: true, command: sleep 1000, healthcheck: {disable: true}}}\n", "--wait")
    assert lab.ps()["a-1"]["Health"] == ""


def test_an_edited_healthcheck_is_probed_without_a_restart(lab: Lab) -> None:
    text = "services: {a: {image: IMAGE, init: true, command: sleep 1000, healthcheck: {test: [CMD, 'false'], interval: 0.1s, retries: 1}}}\n"
    lab.up(text)
    pid = lab.pid("a")
    wait_until_ps(lab, "a-1", Health="unhealthy")
    lab.up(text.replace("'false'", "'true'"), "--wait")
    assert lab.pid("a") == pid
    assert lab.ps()["a-1"]["Health"] == "healthy"


def test_health_is_known_again_after_the_daemon_was_killed(lab: Lab) -> None:
    lab.up(
        LAZY.format("").replace("test, -e, /tmp/ready", "'true'").replace("interval: 0.1s", "interval: 1h"), "--wait"
    )
    lab.kill("corral daemon")
    wait_until_ps(lab, "db-1", Health="healthy")
