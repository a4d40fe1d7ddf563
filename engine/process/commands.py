"""A command in a running container, as a worker of the shim serves it: from the request to its exit code.

The worker has the client's connection to itself, and ends with the command. When the client goes away before, the command does
too, unless it was asked to be detached: a pty hangs up by itself, since the client had its only master; without one, its
process group is killed. (Docker lets it run on, with nobody to read it.)

Runs in the zygote: the listed stdlib modules only.
"""

import functools
import os
import signal

from engine import errors
from engine.process import birth, capabilities, children, frames, launch, program, syscalls, wire
from engine.process.frames import Socket
from engine.process.loop import Loop

DISCARD_BYTES = 64 * 1024


def serve(report: Socket, connection: Socket, *, data: bytes, pidfd: int, start: bytes, entered: bool) -> None:
    """Do what the Exec in `data` asks, in the container whose first process `pidfd` is and which was started by `start`."""
    syscalls.close_all_but({0, 1, 2, report.fileno(), connection.fileno(), pidfd})
    connection.setblocking(True)
    frame = frames.decode(data)
    try:
        command = Command(frame.body.spec, pidfd, frames.decode(start).body.spec, entered, caller=connection.fileno())
    except errors.EngineError as error:
        _send(connection, frame.number, wire.Failed(str(error), isinstance(error, errors.TerminalEngineError)))
        return
    except OSError as error:
        _send(connection, frame.number, wire.Failed(f"cannot run {frame.body.spec.argv[0]}: {error}"))
        return
    kept = command.outputs() if frame.body.spec.detached else ()
    _send(connection, frame.number, wire.ExecStarted(command.pid, frame.body.spec.tty), command.ends)
    frames.close_all(command.ends)
    _Service(connection, frame.number, command, frame.body.spec, kept).run()


class Command:
    """A command that has been executed. `ends` are the client's ends of its streams. `caller`: the client's connection, without
    which there is no command. Raises `EngineError`, `OSError`."""

    def __init__(
        self, spec: wire.ExecSpec, pidfd: int, container: wire.StartSpec, entered: bool, *, caller: int
    ) -> None:
        if not spec.argv:
            raise errors.TerminalEngineError("cannot run nothing: there is no command")
        self._spec, self._pidfd, self._container, self._caller = spec, pidfd, container, caller
        self._become = _program(spec, birth.program_of(container))
        syscalls.setns(pidfd, syscalls.CLONE_NEWPID)  # of our children
        try:
            self._begin(container.cgroups.v2 if entered else "")
        except children.BornDeadError:
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            self._begin("")

    def signal(self, number: int) -> None:
        """To its process group. It leads one of its own, and is ours to reap, so the id is not somebody else's."""
        try:
            os.killpg(self.pid, number)
        except (OSError, TypeError, OverflowError):  # it is gone, or that is no signal
            pass

    def outputs(self) -> tuple[int, ...]:
        """Copies of the ends that its output comes out of."""
        return tuple(os.dup(each) for each in self.ends[0 if self._spec.tty else 1 :])

    def _begin(self, cgroup_v2: str) -> None:
        streams, self.ends = _streams(self._spec.tty)
        child = children.clone(
            0,
            cgroup_v2,
            (self._pidfd, *(streams or ())),
            lambda channel, entered: launch.joining(
                self._container, self._pidfd, self._become, streams=streams, enter_v2=not entered, channel=channel
            ),
        )
        frames.close_all(streams or ())
        self.pid, self.pidfd = child.pid, child.pidfd
        self.ends += children.await_execve(child, self._caller)


class _Service:
    """What a client may still do, and what it is told. `kept`: what is read to its end once the client is gone, and thrown away,
    so that nobody writes to nobody."""

    def __init__(
        self, connection: Socket, number: int, command: Command, spec: wire.ExecSpec, kept: tuple[int, ...]
    ) -> None:
        self._loop = Loop()
        self._kept = kept
        self._connection, self._number, self._command, self._spec = connection, number, command, spec

    def run(self) -> None:
        """Until the command has ended; then the process ends."""
        self._loop.watch(self._command.pidfd, self._ended)
        self._loop.watch(self._connection.fileno(), self._heard)
        self._loop.run()

    def _heard(self, _events: int) -> None:
        try:
            received = frames.receive(self._connection)
        except (OSError, frames.WireError):
            received = None
        if received is None:
            self._loop.forget(self._connection.fileno())
            if not self._spec.tty and not self._spec.detached:
                self._command.signal(signal.SIGKILL)
            for each in self._kept:
                self._loop.watch(each, functools.partial(self._throw_away, each))
        elif isinstance(received[0].body, wire.ExecSignal):
            self._command.signal(received[0].body.number)

    def _throw_away(self, descriptor: int, _events: int) -> None:
        try:
            data = os.read(descriptor, DISCARD_BYTES)
        except OSError:  # EIO: nobody has the terminal open
            data = b""
        if not data:
            self._loop.forget(descriptor)
            os.close(descriptor)

    def _ended(self, _events: int) -> None:
        self._loop.forget(self._command.pidfd)
        _send(self._connection, self._number, wire.ExecEnded(children.reap(self._command.pidfd)))
        os._exit(0)


def _send(
    connection: Socket,
    number: int,
    body: wire.Failed | wire.ExecStarted | wire.ExecEnded,
    descriptors: tuple[int, ...] = (),
) -> None:
    try:
        frames.send(connection, wire.Frame(number, body), descriptors)
    except OSError:
        pass  # the client is gone, which is noticed where it matters


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
