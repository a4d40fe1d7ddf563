"""Programs of the machine that are told or asked something and end by themselves: iptables, rm, busctl, resolvectl, systemctl."""

import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

import anyio


class Done(NamedTuple):
    """`out` and `err` are what it wrote, whatever its bytes were."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it complained of, in one line."""
        return " ".join(self.err.split())


async def run(command: Sequence[str], text: str = "") -> Done:
    """Run it to its end, with this text to read. Cancelled, we kill it. Raises `OSError` where it cannot be started.

    What it reads and writes are files without a name: there is nobody to feed, and nothing that two sides could wait for. The
    subprocesses of an event loop are a dozen objects that point at each other, and a daemon that asks iptables all day keeps the
    pages of those.
    """
    files = [os.memfd_create(f"corral-{name}", os.MFD_CLOEXEC) for name in ("given", "out", "err")]
    try:
        _write(files[0], text.encode())
        with _start(command, *files) as process:
            try:
                await _ended(process.pid)
            except BaseException:
                process.kill()
                raise
        return Done(process.returncode, _read(files[1]), _read(files[2]))
    finally:
        for file in files:
            os.close(file)


def _start(command: Sequence[str], given: int, out: int, err: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=given, stdout=out, stderr=err)


async def _ended(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        await anyio.wait_readable(pidfd)
    finally:
        os.close(pidfd)


def _write(file: int, data: bytes) -> None:
    with open(file, "wb", closefd=False) as writing:
        writing.write(data)
    os.lseek(file, 0, os.SEEK_SET)


def _read(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, "rb", closefd=False) as reading:
        return reading.read().decode(errors="replace")
