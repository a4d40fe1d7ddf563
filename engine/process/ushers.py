"""How the first process of a container gets into its sandbox's user namespace.

Nobody can be cloned into an existing user namespace, and who enters one cannot leave it. So an usher, the shim's child too, does
with the machine's rights what needs them (limits, `prepare`), enters the user namespace, clones the first process there and
ends. That process is the shim's child.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from engine import errors
from engine.process import children, frames, syscalls, wire
from engine.process.frames import Socket


def clone(
    userns: int,
    prepare: Callable[[], None],
    bear: Callable[[], children.Child],
    *,
    keep: tuple[int, ...],
    told: Callable[[int], None],
) -> children.Child:
    """Run `prepare()` and, in the user namespace, `bear()`, which clones the child; both in the usher, which keeps the
    descriptors `keep`. `told` hears of the usher's pidfd, for its parent to reap it. Raises `EngineError`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            pid, pidfd = syscalls.clone3(syscalls.CLONE_PARENT)
            if pid == 0:
                syscalls.close_all_but({0, 1, 2, theirs.fileno(), userns, *keep})
                _be(userns, prepare, bear, theirs)
        told(pidfd)
        os.close(pidfd)
        received = frames.receive(ours)
    match received:
        case (wire.Frame(_, wire.Born(child, entered)), [found, channel]):
            return children.Child(child, found, Socket(fileno=channel), entered)
        case (wire.Frame(_, wire.Failed(message, terminal)), _):
            raise errors.TerminalEngineError(message) if terminal else errors.EngineError(message)
    raise errors.EngineError("it died while it was being set up (out of memory, perhaps)")


def _be(userns: int, prepare: Callable[[], None], bear: Callable[[], children.Child], channel: Socket) -> NoReturn:
    try:
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        prepare()
        syscalls.setns(userns, syscalls.CLONE_NEWUSER)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)  # once more: it goes with the capabilities
        child = bear()
        frames.send(channel, wire.Frame(0, wire.Born(child.pid, child.entered)), (child.pidfd, child.channel.fileno()))
    except errors.EngineError as error:
        _fail(channel, wire.Failed(str(error), isinstance(error, errors.TerminalEngineError)))
    except Exception as error:
        _fail(channel, wire.Failed(f"cannot enter the user namespace: {error}"))
    finally:
        os._exit(0)


def _fail(channel: Socket, failed: wire.Failed) -> None:
    frames.send(channel, wire.Frame(0, failed))
