"""A command in a running container, in the shim: from clone to its exit code, at the pleasure of its client.

When the client goes away, the command does too, unless it was asked to be detached: a pty hangs up by itself, since the client
had its only master; without one, its process group is killed. (Docker lets it run on, with nobody to read it.)

Runs in the zygote: the listed stdlib modules only.
"""

import os
import signal

from engine import children, launch, program, syscalls, wire
from engine.connections import Connection
from engine.loop import Loop
from engine.running import Running


class Command:
    """`number`: of the request on `connection` that began it."""

    def __init__(self, loop: Loop, spec: wire.ExecSpec, running: Running, connection: Connection, number: int) -> None:
        self.has_ended = False
        self._loop, self._spec, self._running = loop, spec, running
        self._connection, self._number = connection, number
        self._ours: tuple[int, ...] = ()
        self._begin()
        if not spec.detached:
            connection.on_close.append(self._on_client_gone)

    def signal(self, number: int) -> None:
        """To its process group. It leads one of its own, and is ours to reap, so the id is not somebody else's."""
        if not self.has_ended:
            try:
                os.killpg(self._child.pid, number)
            except ProcessLookupError:
                children.send_signal(self._child.pidfd, number)  # it has not got as far as setsid

    def _begin(self) -> None:
        streams = None if self._spec.tty else self._open_streams()
        try:
            self._child = _clone(self._spec, self._running, streams)
        except BaseException:
            self._close_ours()
            raise
        finally:
            for descriptor in streams or ():
                os.close(descriptor)
        self._launch = children.Launch(self._loop, self._child, self._on_started, self._on_failed)
        self._loop.watch(self._child.pidfd, self._on_end)
        self._launch.go()

    def _open_streams(self) -> launch.Streams:
        in_read, in_write = os.pipe2(os.O_CLOEXEC)
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        error_read, error_write = os.pipe2(os.O_CLOEXEC)
        self._ours = (in_write, out_read, error_read)
        return in_read, out_write, error_write

    def _on_started(self, descriptors: list[int]) -> None:
        ours, self._ours = (*self._ours, *descriptors), ()
        self._connection.send(self._number, wire.ExecStarted(self._child.pid, self._spec.tty), ours)

    def _on_failed(self, failure: wire.Failed) -> None:
        children.send_signal(self._child.pidfd, signal.SIGKILL)
        code = self._reap()
        self._close_ours()
        if self._launch.was_born_dead(code) and self._running.is_running:
            self._running.into_cgroup = False
            try:
                self._begin()
                return
            except OSError as error:
                failure = wire.Failed(f"cannot run {self._spec.argv[0]}: {error}")
        self.has_ended = True
        self._connection.send(self._number, failure)

    def _on_end(self, _events: int) -> None:
        if self._launch.pending:
            self._launch.settle()
            if not self._launch.succeeded:
                return
        code = self._reap()
        self.has_ended = True
        self._connection.send(self._number, wire.ExecEnded(code))

    def _reap(self) -> int:
        code = children.reap(self._child.pidfd)
        self._loop.forget(self._child.pidfd)
        os.close(self._child.pidfd)
        return code

    def _close_ours(self) -> None:
        for descriptor in self._ours:
            os.close(descriptor)
        self._ours = ()

    def _on_client_gone(self) -> None:
        if not self._spec.tty or self._launch.pending:
            self.signal(signal.SIGKILL)


def _clone(spec: wire.ExecSpec, running: Running, streams: launch.Streams | None) -> children.Child:
    """Our children's pid namespace is the container's for the length of one clone, so the command needs no second fork."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    become, cgroups, pidfd = _program(spec, running.become), running.spec.cgroups, running.pidfd
    try:
        syscalls.setns(pidfd, syscalls.CLONE_NEWPID)
        try:
            return children.clone(
                0,
                cgroups.v2 if running.into_cgroup else "",
                (pidfd, *(streams or ())),
                lambda channel, entered: launch.joining(
                    cgroups, pidfd, become, streams=streams, enter_v2=not entered, channel=channel
                ),
            )
        finally:
            syscalls.setns(own, syscalls.CLONE_NEWPID)
    finally:
        os.close(own)


def _program(spec: wire.ExecSpec, container: program.Program) -> program.Program:
    return container._replace(
        argv=spec.argv,
        environment=tuple((dict(container.environment) | dict(spec.environment)).items()),
        user=container.user if spec.user is None else spec.user,
        working_dir=container.working_dir if spec.working_dir is None else spec.working_dir,
        tty=spec.tty,
        init=False,
    )
