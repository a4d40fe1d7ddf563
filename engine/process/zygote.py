"""The zygote: a process with everything a shim needs loaded, that forks one for everybody who asks in the messages it is sent.

Run as `python -I -S` from a sealed copy of the interpreter (`engine.spawn`), single-threaded, not dumpable, with nothing of
the daemon's but one socket; it ends when the daemon's end of that closes. Its shims live on.

After the last import the import system is shut: whatever would load a module later, in a container's file system, fails.

Runs in the zygote: the listed stdlib modules only.
"""

import _signal  # type: ignore[import-not-found]
import codecs
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from engine.process import detached, dispositions, frames, pages, rehearsal, shim, syscalls, title


def main(arguments: list[str]) -> NoReturn:
    """`arguments`: the socket's descriptor, the run directory, kernel features to do without (comma separated)."""
    descriptor, run_directory, missing = arguments[:3]
    syscalls.missing.update(missing.split(",") if missing else ())
    daemon = socket.socket(fileno=int(descriptor))
    daemon.setblocking(True)
    area = title.area()
    _settle_down(daemon)
    detached.get_to_know()
    shared = pages.prepare()
    rest = shared.give_back if shared is not None else _do_nothing
    rehearsal.rehearse(area, rest)
    _shut()
    title.show(area, b"corral zygote " + os.fsencode(run_directory))
    if shared is not None:
        shared.share()
    try:
        _serve(daemon, area, rest)
    finally:
        os._exit(0)


def _do_nothing() -> None:
    pass


def _settle_down(daemon: socket.socket) -> None:
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.close_all_but({0, 1, 2, daemon.fileno()})
    os.set_inheritable(daemon.fileno(), False)
    os.chdir("/")
    os.umask(0o022)
    dispositions.reset()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        with open("/proc/self/oom_score_adj", "wb") as file:
            file.write(b"-1000")
    except OSError:
        pass  # needs CAP_SYS_RESOURCE
    for name in ("ascii", "utf-8", "latin-1"):
        codecs.lookup(name)
    time.strftime("%Y", time.gmtime())


def _shut() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # shims are reaped by the kernel
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path.clear()
    gc.collect()
    gc.freeze()


def _serve(daemon: socket.socket, area: title.Area, rest: Callable[[], object]) -> None:
    """Receive, fork, close, and nothing else: each page that is written to here between two forks is one more that the shims
    do not share."""
    receive, fork, close = daemon.recvmsg, os.fork, os.close
    size, room, flags = frames.DATAGRAM_BYTES, frames.ANCILLARY_BYTES, frames.CLOEXEC
    while True:
        received = receive(size, room, flags)
        if not received[0]:
            return
        for _, _, content in received[1]:
            descriptors = memoryview(content).cast("i")
            for number in range(len(descriptors) // 2):
                try:
                    is_shim = fork() == 0
                except OSError as error:
                    is_shim = False
                    _refuse(descriptors[2 * number], error)
                if is_shim:
                    _become(daemon, received, number, area, rest)
                close(descriptors[2 * number])
                close(descriptors[2 * number + 1])


def _become(
    daemon: socket.socket, received: Any, number: int, area: title.Area, rest: Callable[[], object]
) -> NoReturn:
    """Those before it are closed already."""
    daemon.close()
    _signal.signal(int(signal.SIGCHLD), 0)  # what signal.signal calls: its enums are a dozen pages of each shim
    data, descriptors = frames.unpack(received) or (b"", [])
    first, listening = descriptors[2 * number : 2 * number + 2]
    frames.close_all(descriptors[2 * number + 2 :])
    shim.main(data, number, frames.Socket(fileno=first), frames.Socket(fileno=listening), area, rest)


def _refuse(first: int, error: OSError) -> None:
    with socket.socket(fileno=os.dup(first)) as connection:
        frames.send_raw(connection, frames.answer(0, frames.encode_failed(f"cannot fork a shim: {error}")))
