"""A program spawned without a copy of ourselves."""

import os
import signal

import pytest

from engine.process import syscalls


def test_it_has_its_arguments_and_environment_and_its_signals_as_at_a_login() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    signals = "while read -r k v; do case $k in SigBlk:|SigIgn:) echo $k $v;; esac; done </proc/$$/status"
    script = (
        f"exec >/proc/self/fd/{writing}; {signals}; echo $0 $A; exit 3"  # a shell that forks blocks signals meanwhile
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 30))
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        pid = syscalls.spawn("/bin/sh", ("sh", "-c", script, "zéro"), {"A": "b\udcff", "PATH": os.environ["PATH"]})
    finally:
        signal.signal(signal.SIGUSR1, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writing)
    with open(reading, "rb") as file:
        lines = file.read().split()
    assert lines == [b"SigBlk:", b"0" * 16, b"SigIgn:", b"0" * 16, "zéro".encode(), b"b\xff"]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


@pytest.mark.parametrize(("path", "words"), [("/no/such", "No such file"), ("/etc/passwd", "Permission denied")])
def test_what_cannot_be_executed_is_an_error_here(path: str, words: str) -> None:
    with pytest.raises(OSError, match=words):
        syscalls.spawn(path, (path,), {})


@pytest.mark.parametrize("argv", [("a\0b",), ("a", "b\0")])
def test_a_text_that_c_would_cut_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="null"):
        syscalls.spawn("/bin/true", argv, {})
