"""A container in its shim: what the shim keeps of it, from the request to start it to its exit.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import signal
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from engine.process import birth, children, death, durable, frames, logs, wire, workers
from engine.process.frames import Socket
from engine.process.loop import Loop
from engine.process.newborns import Newborn
from engine.process.output import Output
from engine.process.taps import Tap

PLANNED = (b'"planned":false', b'"planned":true')


First = Callable[[Socket, bytes, bool], NoReturn]


class Jobs(NamedTuple):
    """What forks do for a shim: be a container's first process (`birth.first`), start one (`birth.start`), or be a command in one
    (`commands.join`)."""

    first: First
    start: Callable[[Socket, bytes], None]
    join: Callable[[Socket, bytes, bytes, int, bool], NoReturn]


class Running:
    """One run, asked for by the Start in `data`. Callbacks, with encoded records:
    `started(process)` or `failed(Failed)` once, then `ended(exit)` once if it was started; what is told is durable by then.
    `executed()` comes before that, when nothing that it writes has been read."""

    def __init__(
        self,
        loop: Loop,
        data: bytes,
        jobs: Jobs,
        *,
        executed: Callable[[], None],
        started: Callable[[bytes], None],
        failed: Callable[[bytes], None],
        ended: Callable[[bytes], None],
    ) -> None:
        self.data = data
        self.pidfd = -1
        self.kept: birth.Started | None = None
        self._loop, self._on_started, self._on_failed, self._on_ended = loop, started, failed, ended
        self._on_executed = executed
        self._jobs = jobs
        self._failure = frames.encode_failed("cannot start a container: it died while it was being set up")
        self._must_die = self._is_planned = False
        self._code = 255
        self._kill_ticket: object = None
        self._newborn: Newborn | None = None
        cgroup_v2 = frames.born_in(data)
        if cgroup_v2 is None or not self._bear(cgroup_v2):
            self._start_by_worker()

    @property
    def process(self) -> bytes | None:
        """The encoded record, once it was executed and until it has ended."""
        return self.kept.process if self.kept is not None else None

    def signal(self, number: int) -> None:
        if self.pidfd >= 0:
            children.send_signal(self.pidfd, number)

    def attach(self, alone: bool) -> tuple[tuple[Tap, ...], tuple[int, ...], bytes]:
        """Give (the taps, what a client gets, the encoded Attached without its container's name) of a run that was executed.
        `alone`: its input is the client's alone."""
        assert self.kept is not None
        taps, descriptors = self._output.tap(self.kept.tty, alone)
        words = (b"true" if flag else b"false" for flag in (self.kept.tty, self.kept.stdin_open))
        return taps, descriptors, b'"tty":%b,"stdin":%b' % tuple(words)

    def stop(self, number: int, grace_s: float) -> None:
        """Mark the run as planned, durably, then ask it to end, and kill it after the grace. The last stop's grace counts."""
        self._is_planned = True
        self._plan()
        if self.kept is None or grace_s <= 0:
            self.kill()
            return
        self.signal(number)
        self._loop.cancel(self._kill_ticket)
        self._kill_ticket = self._loop.after(grace_s, self.kill)

    def kill(self) -> None:
        """Kill everything in it, now: with its first process the kernel kills its pid namespace, and nothing forks in that any
        more. All that is in the cgroup was cloned into that namespace; where that is another's, the rest is killed after it
        (`death.record`)."""
        self._must_die = True
        self.signal(signal.SIGKILL)

    # ---------------------------------------------------------------------------------------------------------- inside

    def _bear(self, cgroup_v2: str) -> bool:
        body = lambda channel, entered: self._jobs.first(channel, self.data, entered)  # noqa: E731
        try:
            child = children.clone(birth.FLAGS, cgroup_v2, (), body)
        except OSError:
            return False  # a worker finds out why
        self.pidfd = child.pidfd
        self._newborn = Newborn(self._loop, child, self._is_born)
        return True

    def _is_born(self) -> None:
        assert self._newborn is not None
        born, self._newborn = self._newborn, None
        if born.is_executed:
            self._take(birth.unpack(born.said), born.ends)
            self._begun()
            return
        frames.close_all(born.ends)
        if self._must_die:
            forget = lambda _report: birth.forget(self.data)  # noqa: E731
            workers.fork(self._loop, "forget a start", forget, self._told, self._begun)
        else:
            self.signal(signal.SIGKILL)
            self._reap()
            self._start_by_worker()

    def _start_by_worker(self) -> None:
        workers.fork(
            self._loop, "start a container", lambda report: self._jobs.start(report, self.data), self._told, self._begun
        )

    def _told(self, data: bytes, descriptors: list[int]) -> None:
        if data == birth.CHILD:
            self._reap()
            self.pidfd = descriptors[0]
            if self._must_die:
                self.kill()
        elif data.startswith(birth.STARTED):
            self._take(birth.unpack(data), descriptors)
        else:
            self._failure = data

    def _take(self, kept: birth.Started, descriptors: list[int]) -> None:
        self._log = logs.Writer(os.fsdecode(kept.log_path), kept.log_bytes, kept.log_files, kept.log_attributes)
        self._output = Output(self._loop, self._log)
        for stream, descriptor in zip(logs.STREAMS, descriptors, strict=False):
            self._output.listen(stream, descriptor)
        if kept.stdin_open and not kept.tty:
            self._output.stdin = descriptors[2]
        self.kept = kept
        if self._is_planned:
            self._plan()
        self._on_executed()

    def _begun(self) -> None:
        """The worker is gone."""
        if self.kept is None:
            self.kill()
            self._reap()
            self._on_failed(self._failure)
            return
        self._on_started(self.kept.process)
        self._loop.watch(self.pidfd, self._on_end)

    def _plan(self) -> None:
        if self.kept is not None and self.kept.process.endswith(PLANNED[0] + b"}"):
            process = self.kept.process.replace(*PLANNED)
            durable.write_raw(os.path.join(os.fsdecode(self.kept.run_directory), wire.PROCESS_RECORD), process)
            self.kept = self.kept._replace(process=process)

    def _on_end(self, _events: int) -> None:
        self._loop.forget(self.pidfd)
        self._loop.cancel(self._kill_ticket)
        self._reap()
        self._output.drain()
        self._output.close()
        self._log.close()
        self._exit = b""
        if self._is_planned and self.kept is not None and self.kept.alone:
            # a stop on request is most often the sandbox's last: a fork would only cost 4 ms
            self._exit = self._record()
            self._over()
        else:
            workers.fork(self._loop, "record an exit", self._report, self._recorded, self._over)

    def _record(self) -> bytes:
        assert self.kept is not None
        return death.record(self.data, self.kept, self._code)

    def _report(self, report: Socket) -> None:
        frames.send_raw(report, self._record())

    def _recorded(self, data: bytes, _descriptors: list[int]) -> None:
        self._exit = data

    def _over(self) -> None:
        self._on_ended(self._exit)

    def _reap(self) -> None:
        if self.pidfd >= 0:
            self._code = children.reap(self.pidfd)
            self.pidfd = -1
