"""The sealed copy of the interpreter."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from engine import spawn


def test_a_copy_in_memory_is_the_same_and_nobody_writes_to_it(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"any bytes")
    sealed = spawn.seal(str(tmp_path / "program"))
    try:
        assert os.pread(sealed, 100, 0) == b"any bytes"
        with pytest.raises(PermissionError):
            os.write(sealed, b"x")
    finally:
        os.close(sealed)


def busy(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel find somebody at a page of the copy, this often."""
    answers = [errno.EBUSY] * times
    really = fcntl.fcntl

    def fcntl_(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_ADD_SEALS and answers:
            raise OSError(answers.pop(), "busy")
        return really(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", fcntl_)


def test_a_page_that_somebody_just_looks_at_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(3, monkeypatch)
    os.close(spawn.seal(__file__))


def test_without_a_seal_there_is_no_zygote_and_nothing_is_left_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    busy(1000, monkeypatch)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="busy"):
        spawn.zygote(str(tmp_path))
    assert os.listdir("/proc/self/fd") == before
