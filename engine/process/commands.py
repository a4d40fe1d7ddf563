"""A command in a running container, as its shim serves it: from the request to its exit code.

The command ends with its client: when that goes away first, a pty hangs up by itself, since the client had its only master;
without one, the command's process group is killed. (Docker lets it run on, with nobody to read it.) One that was asked to be
detached goes on.

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import functools
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from engine import errors
from engine.process import birth, capabilities, children, frames, launch, program, wire
from engine.process.connections import Connection
from engine.process.frames import Socket
from engine.process.loop import Loop
from engine.process.newborns import Newborn

DISCARD_BYTES = 16 * 1024
TTY, DETACHED = b"t", b"d"


class Command:
    """What the Exec in a message asks for, number `number` of `connection`. `bear(cgroup_v2)` clones a child that becomes it by
    `join`, and raises `OSError`. `cgroup_v2`: the container's, where it can be entered by clone. Raises `EngineError`."""

    def __init__(
        self,
        loop: Loop,
        connection: Connection,
        number: int,
        bear: Callable[[str], children.Child],
        cgroup_v2: str,
    ) -> None:
        self._loop, self._connection, self._number, self._bear = loop, connection, number, bear
        self._is_executed = self._is_left = False
        self._ends_with_client = True
        self._kept: tuple[int, ...] = ()
        self._begin(cgroup_v2)
        connection.on_close.append(self._leave)

    def signal(self, number: int) -> None:
        """To its process group. It leads one of its own, and is ours to reap, so the id is not somebody else's."""
        if self._is_executed and self._pidfd >= 0:
            try:
                os.killpg(self._newborn.pid, number)
            except (OSError, TypeError, OverflowError):  # it is gone, or that is no signal
                pass

    # ---------------------------------------------------------------------------------------------------------- inside

    def _begin(self, cgroup_v2: str) -> None:
        try:
            child = self._bear(cgroup_v2)
        except OSError as error:
            why = "its container is ending, or there is no memory" if error.errno == errno.ENOMEM else error.strerror
            raise errors.EngineError(f"cannot run a command: {why}") from error
        self._newborn, self._pidfd = Newborn(self._loop, child, self._is_born), child.pidfd

    def _is_born(self) -> None:
        born = self._newborn
        if born.is_executed:
            self._execute(born)
            return
        frames.close_all(born.ends)
        # it ends by itself, unless root in the container has stopped it
        children.send_signal(born.pidfd, signal.SIGKILL)
        self._reap()
        if born.failure:
            self._connection.send(self._number, frames.body(born.failure))
        elif self._is_left or not born.entered or born.said:
            self._connection.send(self._number, frames.encode_failed(f"cannot run a command: {children.DIED}"))
        else:
            self._be_reborn()

    def _be_reborn(self) -> None:
        """After `children.BornDeadError`."""
        try:
            self._begin("")
        except errors.EngineError as error:
            self._connection.send(self._number, frames.encode_failed(str(error)))

    def _execute(self, born: Newborn) -> None:
        tty, detached = TTY in born.said, DETACHED in born.said
        self._is_executed, self._ends_with_client = True, not tty and not detached
        if detached:
            self._kept = tuple(os.dup(each) for each in born.ends[0 if tty else 1 :])
        self._loop.watch(self._pidfd, self._end)
        started = b'{"is":"ExecStarted","pid":%d,"tty":%b}' % (born.pid, b"true" if tty else b"false")
        self._connection.send(self._number, started, tuple(born.ends))
        if self._is_left:
            self._leave()

    def _end(self, _events: int) -> None:
        self._loop.forget(self._pidfd)
        self._connection.send(self._number, b'{"is":"ExecEnded","code":%d}' % self._reap())

    def _reap(self) -> int:
        pidfd, self._pidfd = self._pidfd, -1
        return children.reap(pidfd)

    def _leave(self) -> None:
        """The client is gone. What is not executed yet may never be: root in the container may stop whoever comes in."""
        self._is_left = True
        if not self._is_executed and self._pidfd >= 0:
            children.send_signal(self._pidfd, signal.SIGKILL)
        elif self._ends_with_client:
            self.signal(signal.SIGKILL)
        for each in self._kept:
            self._loop.watch(each, functools.partial(self._throw_away, each))

    def _throw_away(self, descriptor: int, _events: int) -> None:
        """So that nobody writes to nobody."""
        try:
            data = os.read(descriptor, DISCARD_BYTES)
        except OSError:  # EIO: nobody has the terminal open
            data = b""
        if not data:
            self._loop.forget(descriptor)
            os.close(descriptor)


def join(channel: Socket, data: bytes, start: bytes, pidfd: int, entered: bool) -> NoReturn:
    """Be the command that the Exec in `data` asks for, as a child of the shim's, cloned into the container whose first process
    `pidfd` is and which was started by `start`. Says its flags, with the client's ends of its streams, then Prepared, with the
    pty's master, and nothing more once it is executed; or Failed."""
    spec: wire.ExecSpec = frames.decode(data).body.spec
    try:
        if not spec.argv:
            raise errors.TerminalEngineError("cannot run nothing: there is no command")
        container: wire.StartSpec = frames.decode(start).body.spec
        become = _program(spec, birth.program_of(container))
        streams, ends = _streams(spec.tty)
        frames.send_raw(channel, b"-" + TTY * spec.tty + DETACHED * spec.detached, ends)
        frames.close_all(ends)
        launch.joining(container, pidfd, become, streams=streams, enter_v2=not entered, channel=channel)
    except errors.EngineError as error:
        launch.fail(channel, wire.Failed(str(error), isinstance(error, errors.TerminalEngineError)))
    except OSError as error:
        launch.fail(channel, wire.Failed(f"cannot run {spec.argv[0]}: {error}"))
    finally:
        os._exit(127)


def _streams(tty: bool) -> tuple[launch.Streams | None, tuple[int, ...]]:
    """Make the pipes: the command's streams, and the client's ends. With a pty the command makes both."""
    if tty:
        return None, ()
    in_read, in_write = os.pipe2(os.O_CLOEXEC)
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    return (in_read, out_write, error_write), (in_write, out_read, error_read)


def _program(spec: wire.ExecSpec, container: program.Program) -> program.Program:
    return container._replace(
        argv=spec.argv,
        environment=tuple((dict(container.environment) | dict(spec.environment)).items()),
        user=container.user if spec.user is None else spec.user,
        working_dir=container.working_dir if spec.working_dir is None else spec.working_dir,
        tty=spec.tty,
        init=False,
        keep=capabilities.ours() if spec.privileged else container.keep,
    )
