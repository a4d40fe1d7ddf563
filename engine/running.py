"""A container in its shim: from clone to exit record.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import signal
import time
from collections.abc import Callable

from engine import children, durable, errors, identity, launch, logs, program, rootfs, syscalls, wire
from engine.loop import Loop
from engine.output import Output

NAMESPACES = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC


class Running:
    """One run. Callbacks: `started(process)` or `failed(Failed)` once, then `ended(exit)` once if it was started; `exit` is
    durable by then. Raises `EngineError`, `OSError` from the constructor when not even a child came to be."""

    def __init__(
        self,
        loop: Loop,
        spec: wire.StartSpec,
        become: program.Program,
        *,
        started: Callable[[wire.Process], None],
        failed: Callable[[wire.Failed], None],
        ended: Callable[[wire.Exit], None],
    ) -> None:
        self.spec, self.become = spec, become
        self.into_cgroup = True  # by clone; see `children.was_born_dead`
        self._loop, self._started, self._failed, self._ended = loop, started, failed, ended
        self._kill_ticket: object = None
        self._ooms = _count_ooms(spec.oom_counters)
        _check(spec)
        durable.remove(os.path.join(spec.run_directory, wire.EXIT_RECORD))
        self._log = logs.Writer(spec.log_path, spec.log_bytes)
        self._output = Output(loop, self._log)
        self.process: wire.Process
        self._launch: children.Launch
        try:
            self._begin()
        except BaseException:
            self._output.close()
            self._log.close()
            raise

    @property
    def is_running(self) -> bool:
        """Executed, and not ended."""
        return not self._launch.pending

    def signal(self, number: int) -> None:
        children.send_signal(self.pidfd, number)

    def stop(self, number: int, grace_s: float) -> None:
        """Mark the run as planned, durably, then ask it to end, and kill it after the grace. The last stop's grace counts."""
        if not self.process.planned:
            self.process = self.process._replace(planned=True)
            self._record()
        if self._launch.pending or grace_s <= 0:
            self.kill()
            return
        self.signal(number)
        self._loop.cancel(self._kill_ticket)
        self._kill_ticket = self._loop.after(grace_s, self.kill)

    def kill(self) -> None:
        """Kill everything in it, now: with its first process the kernel kills its pid namespace, and nothing forks in that any
        more. All that is in the cgroup was cloned into that namespace."""
        self.signal(signal.SIGKILL)

    # ---------------------------------------------------------------------------------------------------------- inside

    def _begin(self) -> None:
        self._child = self._clone()
        self.pidfd = self._child.pidfd
        who = identity.of(self.pidfd, self._child.pid)
        self.process = wire.Process(self.spec.container, self.spec.run, who, started_at=time.time())
        self._launch = children.Launch(self._loop, self._child, self._on_started, self._on_failed)
        self._loop.watch(self.pidfd, self._on_end)
        try:
            self._record()
        except OSError as error:  # from here on whatever fails is told through `failed`
            self._launch.abandon(wire.Failed(f"cannot record the start of {self.spec.argv[0]}: {error}"))
            self.kill()
        else:
            self._launch.go()

    def _clone(self) -> children.Child:
        spec, become = self.spec, self.become
        streams, theirs = self._open_streams()
        try:
            return children.clone(
                NAMESPACES,
                spec.cgroups.v2 if self.into_cgroup else "",
                theirs,
                lambda channel, entered: launch.first(
                    spec, become, streams=streams, enter_v2=not entered, channel=channel
                ),
            )
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def _open_streams(self) -> tuple[launch.Streams | None, tuple[int, ...]]:
        """Make the pipes; gives the child's streams (None: it opens a pty), and all descriptors of the child."""
        if self.spec.tty:
            return None, ()
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        error_read, error_write = os.pipe2(os.O_CLOEXEC)
        self._output.listen("stdout", out_read)
        self._output.listen("stderr", error_read)
        if not self.spec.stdin_open:
            return (-1, out_write, error_write), (out_write, error_write)
        in_read, self._output.stdin = os.pipe2(os.O_CLOEXEC)
        return (in_read, out_write, error_write), (in_read, out_write, error_write)

    def _on_started(self, descriptors: list[int]) -> None:
        for master in descriptors:
            self._output.listen("stdout", master)
        self._started(self.process)

    def _on_failed(self, failure: wire.Failed) -> None:
        self.kill()
        code = self._reap()
        if self._launch.was_born_dead(code) and not self.process.planned:
            self.into_cgroup = False
            self._output.close()
            try:
                self._begin()
                return
            except OSError as error:
                failure = wire.Failed(f"cannot start {self.spec.argv[0]}: {error}")
        self._finish()
        durable.remove(os.path.join(self.spec.run_directory, wire.PROCESS_RECORD))
        hint = "; its memory limit is too small to start it" if self._was_oom() else ""
        self._failed(wire.Failed(f"{failure.message}{hint}", failure.terminal or bool(hint)))

    def _on_end(self, _events: int) -> None:
        if self._launch.pending:
            self._launch.settle()
            if not self._launch.succeeded:
                return
        code = self._reap()
        self._output.drain()
        self._finish()
        end = wire.Exit(
            self.spec.container,
            self.spec.run,
            code,
            oom=self._was_oom(),
            planned=self.process.planned,
            started_at=self.process.started_at,
            ended_at=time.time(),
        )
        try:
            durable.write(os.path.join(self.spec.run_directory, wire.EXIT_RECORD), end)
        except OSError:
            pass  # no space: who is connected hears of it all the same
        self._ended(end)

    def _reap(self) -> int:
        code = children.reap(self.pidfd)
        self._loop.forget(self.pidfd)
        os.close(self.pidfd)
        return code

    def _finish(self) -> None:
        self._loop.cancel(self._kill_ticket)
        self._output.close()
        self._log.close()

    def _record(self) -> None:
        durable.write(os.path.join(self.spec.run_directory, wire.PROCESS_RECORD), self.process)

    def _was_oom(self) -> bool:
        return _count_ooms(self.spec.oom_counters) > self._ooms


def _check(spec: wire.StartSpec) -> None:
    """Refuse what no child needs to be made for."""
    if not spec.argv:
        raise errors.TerminalEngineError("cannot start a container: it has no command")
    try:
        rootfs.operations(spec)
    except rootfs.RootfsError as error:
        raise errors.TerminalEngineError(str(error)) from error


def _count_ooms(counters: tuple[wire.OomCounter, ...]) -> int:
    total = 0
    for counter in counters:
        try:
            with open(counter.path, "rb") as file:
                lines = [line.split() for line in file]
        except OSError:
            continue
        total += sum(int(words[1]) for words in lines if len(words) == 2 and words[0] == counter.key.encode())
    return total
