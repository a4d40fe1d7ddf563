"""`corral attach`: the streams of a container's first process, to and from whoever asks."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator

from tests.e2e.lab import Lab, eventually

TICKS = 'sh -c \'trap "exit 7" TERM; trap "echo got INT" INT; n=0; while :; do n=$$((n+1)); echo tick $$n; echo err >&2; sleep 0.05; done\''


def one(command: str, *lines: str) -> str:
    return "\n    ".join(["services:\n  a:", "image: IMAGE", f"command: {command}", *lines]) + "\n"


@contextlib.contextmanager
def attached(lab: Lab, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A client whose input is a pipe that stays open; it hears everything from now on."""
    pipe = subprocess.PIPE
    with lab.popen("attach", *words, "a", stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            eventually(lambda: len(pipes(process.pid) & pipes(lab.process("corral shim"))) >= 2)
            yield process
        finally:
            process.kill()


def pipes(pid: int) -> set[str]:
    """The pipes of which it has an end."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    return {each for each in found if each.startswith("pipe:")}


def handles(lab: Lab) -> list[str]:
    """What the shim has open."""
    return sorted(os.listdir(f"/proc/{lab.process('corral shim')}/fd"))


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


class Terminal:
    """A user at a terminal, and what he sees."""

    def __init__(self, lab: Lab, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.process = lab.popen("attach", *words, "a", stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.seen = ""

    def is_raw(self) -> None:
        """From now on what is typed is passed on."""
        eventually(lambda: not termios.tcgetattr(self.master)[3] & termios.ICANON)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def sees(self, text: str) -> bool:
        while text not in self.seen:
            if not select.select([self.master], [], [], 20)[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            self.seen += os.read(self.master, 4096).decode()
        return True

    def close(self) -> int:
        code = self.process.wait(20)
        os.close(self.master)
        return code


def test_what_it_writes_from_now_on_goes_to_everybody_who_is_attached(lab: Lab) -> None:
    lab.up(one(TICKS))
    with attached(lab) as first, attached(lab) as second:
        assert line(first).startswith("tick ")
        assert line(second).startswith("tick ")
        assert line(first).startswith("tick ")
        assert first.stderr
        assert first.stderr.readline() == "err\n"
        first.kill()
        first.wait()
        for _ in range(5):
            assert line(second).startswith("tick ")
    assert "tick 1\n" in lab.out("logs", "--no-log-prefix", "a"), "the log has everything, as ever"
    lab.corral("kill", "a")


def test_it_ends_with_the_container_and_its_code(lab: Lab) -> None:
    lab.up(one("sh -c 'until test -e /go; do echo wait; sleep 0.02; done; printf last; exit 7'"))
    with attached(lab) as process:
        assert line(process) == "wait"
        lab.touch("a", "/go")
        assert process.stdout
        assert process.stdout.read().endswith("wait\nlast")
        assert process.wait(20) == 7


def test_what_is_sent_in_reaches_it_where_the_service_says_so(lab: Lab) -> None:
    lab.up(one("sh -c 'while read x; do echo got $$x; done'", "stdin_open: true", "stop_signal: KILL"))
    with attached(lab) as first, attached(lab) as second:
        for process, word in ((first, "one"), (second, "two")):
            assert process.stdin
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            assert line(first) == line(second) == f"got {word}"
        assert first.stdin
        first.stdin.close()
        assert second.stdin
        second.stdin.write("three\n")
        second.stdin.flush()
        assert line(first) == "got three", "its input stays open"
    with attached(lab, "--no-stdin") as quiet:
        assert quiet.stdin
        quiet.stdin.write("four\n")
        quiet.stdin.flush()
        lab.corral("restart", "-t", "0")
        assert quiet.wait(20) == 137
        assert quiet.stdout
        assert quiet.stdout.read() == ""


def test_signals_are_the_containers_unless_told(lab: Lab) -> None:
    lab.up(one(TICKS))
    with attached(lab) as process:
        assert line(process).startswith("tick")
        process.send_signal(signal.SIGINT)
        while line(process) != "got INT":
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 7
    eventually(lambda: lab.states() == {"a-1": "exited"})
    lab.corral("start")
    with attached(lab, "--sig-proxy=false") as process:
        assert line(process).startswith("tick")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert lab.states() == {"a-1": "running"}
    lab.corral("kill", "a")


def test_a_terminal_with_its_size_and_the_keys_that_leave_it(lab: Lab) -> None:
    lab.up(one("sh", "tty: true", "stdin_open: true"))
    user = Terminal(lab)
    user.is_raw()
    user.type("echo $((40+2))\n")
    assert user.sees("42")
    fcntl.ioctl(user.master, termios.TIOCSWINSZ, struct.pack("=4H", 33, 77, 0, 0))
    user.process.send_signal(signal.SIGWINCH)
    user.type("sleep 0.1; stty size\n")
    assert user.sees("33 77")
    user.type("\x10\x11")
    assert user.close() == 0
    assert lab.states() == {"a-1": "running"}
    other = Terminal(lab, "--detach-keys", "ctrl-a,d")
    other.is_raw()
    other.type("echo still $((40+3)); exit 9\n")
    assert other.sees("still 43")
    assert other.close() == 9


def test_who_does_not_read_holds_up_nobody_for_long(lab: Lab) -> None:
    lab.up(one("sh -c 'while :; do echo this is a line and goes on and on and on and on; done'", "stop_signal: KILL"))
    before = handles(lab)
    with attached(lab, "--no-stdin") as process:
        assert line(process)
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: handles(lab) == before, 40)
        log = next(lab.owner.root.glob("containers/*/log"))
        size = log.stat().st_size
        eventually(lambda: log.stat().st_size != size)
        process.send_signal(signal.SIGCONT)
        assert process.stderr
        assert "hung up" in process.communicate(timeout=20)[1]
        assert process.returncode == 1


def test_what_cannot_be_attached_to(lab: Lab) -> None:
    lab.up(one("sleep 1000", "init: true"))
    assert "no such service: b" in lab.refusal("attach", "b")
    assert "no container 2" in lab.refusal("attach", "--index", "2", "a")
    assert "is no key" in lab.refusal("attach", "--detach-keys", "ctrl-ctrl", "a")
    lab.corral("pause")
    assert "is paused" in lab.refusal("attach", "a")
    lab.corral("stop", "-t", "0")
    assert "is not running" in lab.refusal("attach", "a")


def test_a_shim_lets_go_of_everything_when_the_last_one_leaves(lab: Lab) -> None:
    lab.up(one(TICKS))
    before = handles(lab)
    with attached(lab) as process:
        assert line(process).startswith("tick")
        assert len(handles(lab)) == len(before) + 3
    eventually(lambda: handles(lab) == before)
    lab.corral("kill", "a")
