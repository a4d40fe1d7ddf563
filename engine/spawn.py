"""Start the zygote: the interpreter from a sealed copy in memory, as a process of its own.

The copy is the defence against a container that reaches our executable through /proc/PID/exe and writes to it: there is
nothing on disk to reach, and a sealed memfd refuses every write.
"""

import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import sys

BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from engine.process import zygote; zygote.main(sys.argv[2:])"
TITLE_ROOM = 1024  # bytes of the argument area, which the process overwrites with its title
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
COPY_BYTES = 1 << 30
SEAL_TRIES = 10


class Child:
    """A running zygote and our end of the connection to it; it ends when that is closed."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.pid = process.pid
        self.connection = connection
        self._process = process

    def end(self) -> None:
        self.connection.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def zygote(run_directory: str, missing: frozenset[str] = frozenset()) -> Child:
    """Start a zygote that names itself after the run directory."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    interpreter = os.path.realpath(sys.executable)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.ExitStack() as failed, theirs:
        failed.callback(ours.close)
        sealed = seal(interpreter)
        try:
            # argv[0] is how the interpreter finds its standard library
            arguments = [
                interpreter,
                "-I",
                "-S",
                "-c",
                BOOT,
                root,
                str(theirs.fileno()),
                run_directory,
                ",".join(missing),
            ]
            process = subprocess.Popen(
                [*arguments, " " * TITLE_ROOM],
                executable=f"/proc/self/fd/{sealed}",
                pass_fds=(sealed, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                start_new_session=True,
            )
        finally:
            os.close(sealed)
        failed.pop_all()
    ours.setblocking(False)
    return Child(process, ours)


def seal(path: str) -> int:
    """Give a descriptor of a copy of the file in memory that nobody can write to. Raises `OSError`."""
    for _ in range(SEAL_TRIES - 1):
        try:
            return _sealed(path)
        except OSError as error:
            # busy: the kernel has waited 150 ms for one who looks at a page of it, whoever that is
            if error.errno != errno.EBUSY:
                raise
    return _sealed(path)


def _sealed(path: str) -> int:
    sealed = os.memfd_create("corral", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        with open(path, "rb") as file:
            while os.sendfile(sealed, file.fileno(), None, COPY_BYTES):
                pass
        fcntl.fcntl(sealed, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(sealed)
        raise
    return sealed
