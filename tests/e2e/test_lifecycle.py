"""The life of a container: how it begins, stops, comes back, speaks and ends, and what the commands do to it."""

import contextlib
import fcntl
import itertools
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

TWO = """
services:
  a: {image: IMAGE, init: true, command: sleep 1000}
  b: {image: IMAGE, init: true, command: sleep 1000, depends_on: [a]}
"""
TRAP = """["sh", "-c", "trap 'echo got SIG; exit 5' SIG; echo ready; while :; do sleep 0.02; done"]"""


def lines(lab: Lab, *words: str) -> list[str]:
    return lab.out("logs", "--no-log-prefix", *words).splitlines()


def wait_for_line(lab: Lab, line: str, *words: str) -> None:
    eventually(lambda: line in lines(lab, *words))


class Terminal:
    """A command in a pty of its own, as a user sits before it."""

    def __init__(self, lab: Lab, *words: str) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (33, 101))
        enter = lab.machine.enter(str(lab.folder))

        def begin() -> None:
            enter()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it

        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *words],
                preexec_fn=begin,
                env=lab.environment | {"TERM": "xterm"},
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            lab.machine.entered()
            os.close(slave)
        self.seen = ""

    def read_until(self, text: str, timeout_s: float = 20.0) -> str:
        """All that was shown so far."""
        deadline = time.monotonic() + timeout_s
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} was not shown: {self.seen!r}"
            self.seen += self._read() or pytest.fail(f"ended without {text!r}: {self.seen!r}")
        return self.seen

    def _read(self) -> str:
        try:
            return os.read(self.master, 65536).decode(errors="replace")
        except OSError:  # EIO: nobody has the other end any more
            return ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Its exit code."""
        while more := self._read():
            self.seen += more
        return self.process.wait(20)


@contextlib.contextmanager
def terminal(lab: Lab, *words: str) -> Iterator[Terminal]:
    made = Terminal(lab, *words)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.wait()
        os.close(made.master)


# ------------------------------------------------------------------------------------------------- restart policies


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("no", 1, False),
        ("always", 0, True),
        ("on-failure", 1, True),
        ("on-failure", 0, False),
        ("unless-stopped", 0, True),
    ],
)
@pytest.mark.key("services.restart")
def test_restart_policies(lab: Lab, policy: str, code: int, again: bool) -> None:
    lab.up(
        f"services: {{a: {{image: IMAGE, restart: '{policy}', command: ['sh', '-c', 'echo run >> /runs; test $$(wc -l < /runs) -ge 2 && exec sleep 1000; exit {code}']}}}}\n"
    )
    eventually(
        lambda: (
            lab.states()["a-1"] == ("running" if again else "exited")
            and (not again or lab.exec("a", "cat", "/runs", code=None) == "run\nrun\n")
        )
    )
    if not again:
        assert lab.ps()["a-1"]["ExitCode"] == code
        assert lab.corral("plan", code=2 if code else 0).stdout


@pytest.mark.key("services.restart")
def test_on_failure_gives_up_after_so_many_times(lab: Lab) -> None:
    lab.up("services: {a: {image: IMAGE, restart: 'on-failure:2', command: ['sh', '-c', 'echo run; exit 3']}}\n")
    eventually(lambda: lab.states()["a-1"] == "exited" and len(lines(lab)) == 3)
    assert lab.ps()["a-1"]["ExitCode"] == 3


@pytest.mark.key("services.deploy.restart_policy")
def test_a_restart_policy_waits_and_gives_up_after_so_many_times(lab: Lab) -> None:
    policy = "{condition: any, delay: 700ms, max_attempts: 2}"
    clock = "['sh', '-c', 'cut -d\" \" -f1 /proc/uptime']"
    lab.up(f"services: {{a: {{image: IMAGE, deploy: {{restart_policy: {policy}}}, command: {clock}}}}}\n")
    eventually(lambda: lab.states()["a-1"] == "exited" and len(lines(lab)) == 3)
    times = [float(line) for line in lines(lab)]
    assert all(0.65 < later - earlier < 3 for earlier, later in itertools.pairwise(times)), times


def test_what_crashes_at_once_is_started_later_and_later(lab: Lab) -> None:
    lab.up(
        "services: {a: {image: IMAGE, restart: always, command: ['sh', '-c', 'cut -d\" \" -f1 /proc/uptime; exit 1']}}\n"
    )
    eventually(lambda: len(lines(lab)) >= 5)
    times = [float(line) for line in lines(lab)[:5]]
    rests = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert rests[0] >= 0.08
    for number in (1, 2, 3):
        assert rests[number] >= 0.1 * 2**number * 0.8, rests


# ------------------------------------------------------------------------------------------ stop, start, restart, kill


def test_stop_start_restart_and_kill_take_one_service_and_leave_the_other(lab: Lab) -> None:
    lab.up(TWO)
    a, b = lab.pid("a"), lab.pid("b")
    lab.corral("stop", "-t", "0", "b")
    assert not machine.is_alive(b)
    assert lab.states() == {"a-1": "running", "b-1": "exited"}
    lab.corral("plan", code=2)
    lab.corral("start", "b")
    assert lab.pid("b") != b
    b = lab.pid("b")
    lab.corral("restart", "-t", "0", "b")
    assert not machine.is_alive(b)
    b = lab.pid("b")
    lab.corral("kill", "b")
    eventually(lambda: not machine.is_alive(b))
    assert eventually(lambda: (found := lab.ps()["b-1"])["State"] == "exited" and found)["ExitCode"] == 137
    assert lab.pid("a") == a


def test_what_was_stopped_or_killed_stays_so_whatever_its_policy(lab: Lab) -> None:
    lab.up(TWO.replace("sleep 1000}", "sleep 1000, restart: always}"))
    lab.corral("stop", "-t", "0", "a")
    daemon = lab.process("corral daemon")
    lab.kill("corral daemon")
    assert lab.states()["a-1"] == "exited"
    assert lab.process("corral daemon") != daemon
    lab.up()
    assert lab.states()["a-1"] == "running"


def test_kill_sends_the_signal_that_is_asked_for(lab: Lab) -> None:
    lab.up(f"services: {{a: {{image: IMAGE, command: {TRAP.replace('SIG', 'USR1')}}}}}\n")
    wait_for_line(lab, "ready")
    lab.corral("kill", "-s", "USR1", "a")
    wait_for_line(lab, "got USR1")
    assert eventually(lambda: (found := lab.ps()["a-1"])["State"] == "exited" and found)["ExitCode"] == 5


@pytest.mark.key("services.stop_signal", "services.stop_grace_period")
def test_stop_signal_and_grace(lab: Lab) -> None:
    lab.up(
        f"""
services:
  polite: {{image: IMAGE, stop_signal: SIGINT, stop_grace_period: 20s, command: {TRAP.replace("SIG", "INT")}}}
  deaf: {{image: IMAGE, stop_grace_period: 0.4s, command: ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done"]}}
"""
    )
    for name in ("polite", "deaf"):
        wait_for_line(lab, "ready", name)
    began = time.monotonic()
    lab.corral("stop")
    assert 0.4 <= time.monotonic() - began < 10
    found = lab.ps()
    assert (found["polite-1"]["ExitCode"], found["deaf-1"]["ExitCode"]) == (5, 137)
    assert "got INT" in lines(lab, "polite")


@pytest.mark.key("services.depends_on")
def test_down_ends_dependents_first(lab: Lab) -> None:
    trap = """["sh", "-c", "trap 'cut -c1-20 /proc/uptime >> /data/NAME; exit 0' TERM; touch /data/NAME; while :; do sleep 0.02; done"]"""
    lab.up(
        f"""
services:
  a: {{image: IMAGE, volumes: ["./data:/data"], command: {trap.replace("NAME", "a")}}}
  b: {{image: IMAGE, volumes: ["./data:/data"], depends_on: [a], command: {trap.replace("NAME", "b")}}}
"""
    )
    eventually(lambda: (lab.folder / "data/a").exists() and (lab.folder / "data/b").exists())
    lab.corral("down")
    a, b = (float((lab.folder / "data" / name).read_text().split()[0]) for name in "ab")
    assert b <= a


# ------------------------------------------------------------------------------------------------------- flags of `up`


def test_scale_leaves_the_first_as_it_is(lab: Lab) -> None:
    lab.up(TWO)
    first = lab.pid("b")
    lab.up("", "--scale", "b=3")
    assert set(lab.states()) == {"a-1", "b-1", "b-2", "b-3"}
    assert lab.pid("b-1") == first
    assert lab.exec("b", "hostname") == "b\n"
    assert lab.corral("exec", "-T", "--index", "3", "b", "hostname").stdout == "b-3\n"
    lab.up("", "--scale", "b=1", "-t", "0")
    assert lab.states() == {"a-1": "running", "b-1": "running"}
    assert lab.pid("b") == first


def test_force_recreate_makes_anew_and_no_deps_leaves_what_it_needs(lab: Lab) -> None:
    lab.up(TWO)
    before = lab.pids()
    lab.up("", "--force-recreate", "--no-deps", "-t", "0", "b")
    assert (lab.pid("a") == before["a-1"], lab.pid("b") == before["b-1"]) == (True, False)
    lab.up("", "--force-recreate", "-t", "0")
    assert lab.pid("a") != before["a-1"]


def test_up_of_a_service_takes_what_it_needs_along_and_no_more(lab: Lab) -> None:
    lab.write(TWO + "  c: {image: IMAGE, init: true, command: sleep 1000}\n")
    lab.corral("up", "-d", "b")
    assert set(lab.states()) == {"a-1", "b-1"}
    lab.corral("down", "-t", "0")
    lab.corral("up", "-d", "--no-deps", "b")
    assert set(lab.states()) == {"b-1"}


def test_orphans_are_removed_when_told_to(lab: Lab) -> None:
    lab.write(TWO)
    lab.write("services: {other: {image: IMAGE, init: true, command: sleep 1000}}\n", "other.yaml")
    lab.corral("-f", "other.yaml", "up", "-d")
    lab.corral("up", "-d")
    running = lab.states()
    lab.corral("up", "-d", "--remove-orphans", "-t", "0")
    assert set(lab.states()) == {"a-1", "b-1"}
    assert set(running) >= {"a-1", "b-1"}


@pytest.mark.key("services.profiles")
def test_profiles_switch_services_on(lab: Lab) -> None:
    lab.up(TWO + "  debug: {image: IMAGE, init: true, command: sleep 1000, profiles: [tools]}\n")
    assert set(lab.states()) == {"a-1", "b-1"}
    lab.corral("--profile", "tools", "up", "-d")
    assert lab.states()["debug-1"] == "running"


def test_later_files_win(lab: Lab) -> None:
    lab.write(TWO)
    lab.write("services: {a: {environment: {WHO: second}, hostname: later}}\n", "more.yaml")
    lab.corral("-f", "compose.yaml", "-f", "more.yaml", "up", "-d")
    assert lab.exec("a", "sh", "-c", "echo $WHO $(hostname)") == "second later\n"
    assert lab.states() == {"a-1": "running", "b-1": "running"}


# ------------------------------------------------------------------------------------------------- terminals and init


@pytest.mark.key("services.tty", "services.stdin_open")
def test_tty_and_stdin_open(lab: Lab) -> None:
    lab.up(
        """
services:
  both: {image: IMAGE, tty: true, stdin_open: true, command: ["sh", "-c", "tty; exec cat"]}
  open: {image: IMAGE, stdin_open: true, command: ["sh", "-c", "cat; echo over"]}
  shut: {image: IMAGE, command: ["sh", "-c", "cat; echo over"]}
"""
    )
    eventually(lambda: lines(lab, "both") and lines(lab, "both")[0].strip() in ("/dev/pts/0", "/dev/console"))
    eventually(lambda: lab.states() == {"both-1": "running", "open-1": "running", "shut-1": "exited"})
    assert lines(lab, "shut") == ["over"]
    assert lines(lab, "open") == []


@pytest.mark.key("services.init")
def test_init_reaps_and_without_it_the_program_is_pid_1(lab: Lab) -> None:
    lab.up(
        """
services:
  with: {image: IMAGE, init: true, command: ["sh", "-c", "(sleep 0.1 & exec sleep 0.01); exec sleep 1000"]}
  without: {image: IMAGE, command: sleep 1000}
"""
    )
    assert machine.command_line(lab.pid("without")) == "sleep 1000"
    assert machine.command_line(lab.pid("with")) != "sleep 1000"
    lab.exec("with", "sh", "-c", "for i in 1 2 3; do (true & exec true) & done; (sh -c 'exit 0' &)")
    inside = [
        pid
        for pid in machine.in_cgroups(lab.owner.instance)
        if machine.namespace(pid, "pid") == machine.namespace(lab.pid("with"), "pid")
    ]
    eventually(lambda: all(machine.is_alive(pid) or not os.path.exists(f"/proc/{pid}") for pid in inside))
    eventually(lambda: lab.exec("with", "ps", "-o", "stat,args").count("Z") == 0)


def test_exec_in_a_terminal(lab: Lab) -> None:
    lab.up(TWO)
    with terminal(lab, "exec", "-it", "a", "sh") as user:
        user.read_until("/ # ")
        user.type("tty; stty size; echo sum $((40+2))\n")
        shown = user.read_until("sum 42")
        assert "/dev/pts/" in shown
        assert "33 101" in shown
        termios.tcsetwinsize(user.master, (44, 88))
        os.kill(user.process.pid, signal.SIGWINCH)
        user.type("until stty size | grep '44 88'; do :; done; echo resi''zed\n")
        user.read_until("resized")
        user.type("sleep 1000\n")
        eventually(lambda: list(machine.in_cgroups(lab.owner.instance).values()).count("sleep 1000") == 3)
        user.type("\x03")
        eventually(lambda: list(machine.in_cgroups(lab.owner.instance).values()).count("sleep 1000") == 2)
        user.type("exit 9\n")
        assert user.end() == 9


def test_exec_passes_standard_input_on_byte_by_byte(lab: Lab) -> None:
    lab.up(TWO)
    text = "".join(f"line {number}\n" for number in range(20000))
    assert lab.corral("exec", "-T", "a", "cat", stdin=text).stdout == text
    found = lab.corral(
        "exec", "-T", "-e", "WHO=me", "-w", "/tmp", "-u", "app", "a", "sh", "-c", "echo $WHO $(pwd) $(id -un)"
    )
    assert found.stdout == "me /tmp app\n"


# --------------------------------------------------------------------------------------------------------- attached up


def test_up_in_front_shows_the_output_and_ctrl_c_stops_the_project(lab: Lab) -> None:
    command = TRAP.replace("SIG", "TERM").replace("ready", "trapped")  # a network may be "not ready"
    lab.write(f"services: {{a: {{image: IMAGE, command: {command}}}}}\n")
    with terminal(lab, "up") as user:
        user.read_until("trapped")
        pid = lab.pid("a")
        user.type("\x03")
        user.read_until("got TERM")
        assert user.end() == 130
    assert not machine.is_alive(pid)
    assert lab.states() == {"a-1": "exited"}
    assert lab.ps()["a-1"]["ExitCode"] == 5


def test_a_second_ctrl_c_kills(lab: Lab) -> None:
    lab.write(
        "services: {a: {image: IMAGE, stop_grace_period: 10m, command: ['sh', '-c', \"trap 'echo no' TERM; echo trapped; while :; do sleep 0.02; done\"]}}\n"
    )
    with terminal(lab, "up") as user:
        user.read_until("trapped")
        user.type("\x03")
        wait_for_line(lab, "no")
        user.type("\x03")
        assert user.end() == 130
    eventually(lambda: lab.states() == {"a-1": "exited"})
    assert lab.ps()["a-1"]["ExitCode"] == 137


def test_up_in_front_ends_when_everything_has_ended(lab: Lab) -> None:
    lab.write("services: {a: {image: IMAGE, command: echo hello}}\n")
    assert "hello" in lab.corral("up").stdout


# ---------------------------------------------------------------------------------------------------------------- logs


def test_logs_tail_since_and_timestamps(lab: Lab) -> None:
    lab.up(
        "services: {a: {image: IMAGE, init: true, command: ['sh', '-c', 'seq 5; usleep 50000; echo err >&2; exec sleep 1000']}}\n"
    )
    wait_for_line(lab, "err")
    assert lines(lab) == ["1", "2", "3", "4", "5", "err"]
    assert lines(lab, "--tail", "2") == ["5", "err"]
    stamped = lab.out("logs", "-t", "--no-log-prefix").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", line) for line in stamped)
    assert lines(lab, "--since", stamped[5].split()[0]) == ["err"]
    assert lines(lab, "--since", "10m") == lines(lab)
    assert lines(lab, "--since", str(time.time() + 60)) == []
    assert lab.out("logs", "--tail", "1") == "a-1  | err\n"


def test_logs_follow(lab: Lab) -> None:
    lab.up(
        "services: {a: {image: IMAGE, init: true, command: ['sh', '-c', 'echo first; while ! test -e /go; do usleep 9000; done; echo second']}}\n"
    )
    wait_for_line(lab, "first")
    with lab.popen("logs", "-f", stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "a-1  | first\n"
        lab.exec("a", "touch", "/go")
        assert follower.stdout.readline() == "a-1  | second\n"
        assert follower.wait(20) == 0, "it ends with the last container"


# ----------------------------------------------------------------------------------------------------------- ourselves


def test_every_process_of_ours_names_itself_and_its_run_folder(lab: Lab) -> None:
    lab.up(TWO)
    run = lab.run_folder
    expected = [
        "corral daemon",
        "corral dns",
        f"corral shim {lab.project}/a",
        f"corral shim {lab.project}/b",
        "corral zygote",
    ]
    assert (
        sorted(line.partition(f" {run}")[0].partition(" --")[0] for line in lab.owner.own_processes().values())
        == expected
    )
    for line in lab.owner.own_processes().values():
        assert str(run) in line
    for pid in machine.in_cgroups(lab.owner.instance):
        assert str(run) not in machine.command_line(pid), "what runs in containers is the user's"


@pytest.mark.key(
    "services.logging",
    "services.logging.driver",
    "services.logging.options",
    "services.logging.options.max-size",
    "services.logging.options.max-file",
)
def test_logs_are_kept_as_far_as_the_file_says(lab: Lab) -> None:
    lab.up(
        """
        services:
          loud:
            image: IMAGE
            command: sh -c 'seq 1 5000; exec sleep 1000'
            init: true
            network_mode: none
            logging: {driver: json-file, options: {max-size: 20k, max-file: "3"}}
          mute: {image: IMAGE, init: true, network_mode: none, command: sh -c 'echo hello; exec sleep 1000', logging: {driver: none}}
          usual: {image: IMAGE, init: true, network_mode: none, command: sh -c 'echo hello; exec sleep 1000'}
        """
    )
    eventually(lambda: lab.out("logs", "--no-log-prefix", "--tail", "1", "loud") == "5000\n")
    kept = lab.out("logs", "--no-log-prefix", "loud").split()
    assert kept == [str(number) for number in range(5001 - len(kept), 5001)]
    files = [path.name for path in lab.owner.root.glob("containers/*/log*")]
    assert sorted(files) == ["log", "log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 20_000 for path in lab.owner.root.glob("containers/*/log.*"))
    assert 500 < len(kept) < 2000
    assert lab.out("logs", "--no-log-prefix", "mute") == ""
    assert lab.out("logs", "--no-log-prefix", "usual") == "hello\n"
    lab.corral("config")
