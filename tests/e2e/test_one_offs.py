"""`corral run`: streams, terminals and exit codes of one-offs, judged by the pipes they leave by and by the kernel."""

import json
import os
import pty
import select
import signal
import subprocess
import termios

from tests.e2e.lab import Lab, eventually

FILE = """
services:
  web:
    image: IMAGE
    command: sleep 1000
    init: true
    environment: {WHO: web}
    networks: {default: {aliases: [site]}}
    volumes: [/cache]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: IMAGE
    command: sleep 1000
    init: true
    healthcheck: {test: [CMD, test, -e, /ready], interval: 50ms, retries: 1000, timeout: 5s}
"""
ALONE = FILE.partition("    depends_on")[0]


def ran(lab: Lab, *words: str, stdin: str = "", code: int = 0) -> tuple[str, str]:
    """(stdout, stderr) of one that is not at a terminal."""
    pipe = subprocess.PIPE
    with lab.popen("run", *words, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        out, err = process.communicate(stdin, timeout=60)
    assert process.returncode == code, err
    return out, err


def test_everything_that_it_writes_comes_through_and_its_code_too(lab: Lab) -> None:
    lab.write(ALONE)
    out, err = ran(lab, "-T", "web", "sh", "-c", "echo first; echo $WHO $0 >&2; seq 30000; exit 7", code=7)
    assert out.splitlines() == ["first", *map(str, range(1, 30001))]
    assert err.splitlines()[-1] == "web sh", "the progress goes to standard error, before"
    (name,) = lab.ps()
    assert name.startswith("web-run-")
    assert (lab.ps()[name]["State"], lab.ps()[name]["ExitCode"]) == ("exited", 7)
    assert out == lab.out("logs", "--no-log-prefix", name).replace("web sh\n", "")


def test_its_input_ends_with_ours(lab: Lab) -> None:
    lab.write(ALONE)
    text = "".join(f"line {number}\n" for number in range(20000))
    assert ran(lab, "--rm", "-T", "web", "wc", "-l", stdin=text)[0].strip() == "20000"
    assert ran(lab, "--rm", "-T", "web", "cat", stdin=text)[0] == text
    assert ran(lab, "--rm", "-T", "web", "cat")[0] == ""


def test_rm_leaves_nothing_and_the_others_stay(lab: Lab) -> None:
    lab.up(ALONE)
    pid, volumes = lab.pid("web"), lab.out("volume", "ls", "-q")
    ran(lab, "--rm", "-T", "web", "true")
    assert lab.states() == {"web-1": "running"}
    assert lab.pid("web") == pid
    assert lab.out("volume", "ls", "-q") == volumes
    assert sum(line.startswith(f"corral shim {lab.project}/") for line in lab.owner.own_processes().values()) == 1


def test_it_waits_for_what_it_needs(lab: Lab) -> None:
    lab.write(FILE)
    pipe = subprocess.PIPE
    with lab.popen("run", "--rm", "-T", "web", "echo", "now", stdout=pipe, stderr=pipe) as process:
        eventually(lambda: lab.states().get("db-1") == "running")
        assert process.poll() is None
        lab.exec("db", "touch", "/ready")
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "now\n"), err
    assert lab.states() == {"db-1": "running"}


def test_a_terminal_is_one(lab: Lab) -> None:
    lab.write(ALONE)
    master, slave = pty.openpty()
    process = lab.popen("--progress", "quiet", "run", "--rm", "web", "sh", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    eventually(lambda: not termios.tcgetattr(master)[3] & termios.ICANON)
    os.write(master, b"tty; echo got $((40+2)); exit 5\n")
    seen = ""
    try:
        while "got 42" not in seen or "/dev/" not in seen:
            assert select.select([master], [], [], 30)[0], seen
            seen += os.read(master, 4096).decode()
        assert process.wait(30) == 5
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert lab.states() == {}


def test_a_signal_for_us_is_its_own(lab: Lab) -> None:
    lab.write(ALONE)
    pipe = subprocess.PIPE
    script = "trap 'exit 9' TERM; echo on; while :; do sleep 0.05; done"
    with lab.popen("run", "--rm", "-T", "web", "sh", "-c", script, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 9
    assert lab.states() == {}


def test_one_whose_client_is_killed_goes_all_the_same_when_it_ends(lab: Lab) -> None:
    lab.write(ALONE)
    pipe = subprocess.PIPE
    script = "echo on; until test -e /go; do sleep 0.05; done"
    with lab.popen("run", "--rm", "-T", "web", "sh", "-c", script, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stdout.readline() == "on\n"
        process.kill()
    (name,) = lab.ps()
    assert lab.ps()[name]["State"] == "running"
    lab.exec(name, "touch", "/go")
    eventually(lambda: lab.states() == {}, 40)


def test_it_is_found_by_the_names_it_is_given(lab: Lab) -> None:
    lab.up(ALONE)
    other = "nslookup site >/dev/null && nslookup web | grep -c 'Address'"
    before = ran(lab, "--rm", "-T", "web", "sh", "-c", other)[0]
    uid = ran(lab, "-d", "--use-aliases", "web", "sleep", "1000")[0].strip()
    rows = [json.loads(line) for line in lab.out("ps", "-a", "--format", "json").splitlines()]
    assert [row["State"] for row in rows if uid.startswith(row["ID"])] == ["running"]
    assert ran(lab, "--rm", "-T", "web", "sh", "-c", other)[0] != before
    lab.corral("down", "-t", "0")


def test_a_program_that_is_not_there_is_told_and_leaves_nothing(lab: Lab) -> None:
    lab.write(ALONE)
    _, err = ran(lab, "-T", "web", "/no/such/program", code=1)
    assert "/no/such/program" in err
    assert lab.states() == {}
