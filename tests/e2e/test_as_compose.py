"""What an unknown project's README says, called as docker compose is; judged by the kernel and by exit codes."""

import json
import pathlib
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.e2e import machine
from tests.e2e.lab import TOP, Lab, eventually

THEIRS = """
services:
  web:
    image: nginx:1.27
    build: .
    command: httpd -f -p 80 -h /www
    ports: ["8080:80"]
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
  db:
    image: postgres:16
    command: sh -c 'touch /data/ready; exec sleep 1000'
    volumes: [db-data:/data]
    healthcheck: {test: [CMD, test, -e, /data/ready], interval: 100ms}
  tests:
    image: web-tests
    command: sh -c 'until wget -q -O - http://web/index.html; do sleep 0.05; done; exit 3'
    depends_on: [web]
    profiles: [test]
volumes: {db-data: {}}
"""
OURS = """
services:
  web: {image: IMAGE, build: !reset null, init: true}
  db: {image: IMAGE}
  tests: {image: IMAGE}
"""
SCRIPT = (
    "#!{python}\nimport sys\nsys.path.insert(0, {top!r})\nfrom orchestrator.__main__ import main\nsys.exit(main())\n"
)

Compose = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def compose(lab: Lab, tmp_path: pathlib.Path) -> Compose:
    """`docker-compose WORDS…` in the folder of a project that knows nothing of corral, but for the file beside its own."""
    program = tmp_path / "docker-compose"
    program.write_text(SCRIPT.format(python=sys.executable, top=str(TOP)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    lab.write(THEIRS, "docker-compose.yml")
    lab.write(OURS, "compose.corral.yaml")

    def call(*words: str, code: int = 0, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        try:
            process = subprocess.Popen(
                [program, *words],
                preexec_fn=lab.machine.enter(str(lab.folder)),
                env=lab.environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        finally:
            lab.machine.entered()
        with process:
            out, err = process.communicate(stdin, timeout=90)
        assert process.returncode == code, f"docker-compose {' '.join(words)}: {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, code, out, err)

    return call


def test_a_readme_works_as_it_stands(lab: Lab, compose: Compose) -> None:
    assert compose("version", "--short").stdout == "2.40.3\n"
    compose("config", "--quiet")
    compose("up", "-d", "--build", "--remove-orphans")
    eventually(lambda: lab.machine.tcp("127.0.0.1", 8080) not in (machine.REFUSED, machine.SILENCE))
    assert compose("ps", "--services", "--filter", "status=running").stdout.split() == ["db", "web"]
    assert compose("exec", "-T", "web", "cat", "/www/index.html").stdout == "hello\n"
    assert compose("exec", "-T", "-e", "A=b c", "-w", "/tmp", "db", "sh", "-c", "echo $A; pwd").stdout == "b c\n/tmp\n"
    assert compose("run", "--rm", "-T", "db", "cat", stdin="dumped").stdout == "dumped"
    assert compose("port", "web", "80").stdout == "0.0.0.0:8080\n"
    compose("logs", "--no-color", "--tail=5", "web")
    compose("cp", "web:/www/index.html", "copied.html")
    assert (lab.folder / "copied.html").read_text() == "hello\n"
    compose("restart", "-t", "0", "web")
    compose("up", "-d", "--force-recreate", "--no-deps", "-V", "--scale", "db=1", "-t", "0", "db")
    compose("stop", "-t", "0")
    assert set(lab.states().values()) == {"exited"}
    compose("rm", "-fsv", "web")
    assert list(lab.states()) == ["db-1"]
    compose("start", "db")
    assert json.loads(compose("ls", "--format", "json").stdout)[0]["Status"] == "running(1)"
    compose("down", "-v", "--rmi", "local", "--remove-orphans", "-t", "0")
    assert lab.states() == {}
    assert lab.out("volume", "ls", "-q") == ""


def test_the_tests_of_a_project_give_the_exit_code(lab: Lab, compose: Compose) -> None:
    words = (
        "--profile",
        "test",
        "up",
        "--abort-on-container-exit",
        "--exit-code-from",
        "tests",
        "--no-log-prefix",
        "-t",
        "0",
    )
    done = compose(*words, code=3)
    assert "hello\n" in done.stdout
    assert set(lab.states().values()) == {"exited"}
    compose("--profile", "test", "down", "-v")


def test_what_is_left_in_the_background_lives_on_and_may_write(lab: Lab, compose: Compose) -> None:
    compose("up", "-d", "--no-deps", "web")
    compose(
        "exec", "-d", "web", "sh", "-c", "for n in $(seq 2000); do echo $n; echo $n >&2; done; touch /done; sleep 1000"
    )
    eventually(lambda: compose("exec", "-T", "web", "sh", "-c", "test -e /done && echo yes || true").stdout == "yes\n")
    sleeping = [pid for pid, line in machine.processes("sleep 1000").items() if line == "sleep 1000"]
    assert machine.namespace(lab.pid("web"), "pid") in {machine.namespace(pid, "pid") for pid in sleeping}
    compose("down", "-t", "0")


def test_a_privileged_command_has_every_capability(lab: Lab, compose: Compose) -> None:
    compose("up", "-d", "--no-deps", "web")
    few, all_of_them = (
        int(compose("exec", "-T", *flags, "web", "sh", "-c", "grep CapEff /proc/self/status").stdout.split()[1], 16)
        for flags in ((), ("--privileged",))
    )
    assert few != all_of_them
    assert few & all_of_them == few
    compose("down", "-t", "0")
