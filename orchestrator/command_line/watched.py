"""`corral up --watch`: every good save of the project's files is an `up`; a bad one is told, and changes nothing.

One thread follows what containers write and looks whether something was saved (`saves`, which waits in a thread of its own).
"""

import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from orchestrator import client, errors, protocol
from orchestrator.command_line import attached, following, invocation, output, progress, saves
from specs import loader, local_files

POLL_S = following.POLL_S
RETRY_S = 1.0
"""After so long a daemon that could not be talked to is tried again."""


class Words(NamedTuple):
    """What the command line makes of it. `load`: the files as they are now. `begin`: an `up` of them. `follower`: shows what the
    containers write; None: nobody does. `end`: after Ctrl-C; its exit code."""

    load: Callable[[], loader.Loaded]
    begin: Callable[[loader.Loaded], client.Events]
    follower: Callable[[loader.Loaded], following.Follower | None]
    end: Callable[[loader.Loaded], int]


def run(called: invocation.Invocation, words: Words) -> int:
    """Until Ctrl-C. Raises what is wrong with the files as they are at first."""
    with local_files.noted() as read:
        loaded = words.load()
    with attached.terminated_as_interrupted():
        watch = _Watch(called, words, loaded, read)
        try:
            watch.go_on()
        except KeyboardInterrupt:
            code = words.end(watch.loaded)
            watch.show_rest()
            return code
        finally:
            watch.close()


class _Watch:
    """`loaded`: what is wanted. `events`: of the last `up`, while they come; `display`: until it has settled. `retry_at`: when an
    `up` is tried again that no daemon took."""

    def __init__(
        self,
        called: invocation.Invocation,
        words: Words,
        loaded: loader.Loaded,
        read: dict[str, local_files.Print],
    ) -> None:
        self.called, self.words, self.loaded = called, words, loaded
        self.follower = words.follower(loaded)
        self.display: progress.Display | None = None
        self.events: client.Events | None = None
        self.retry_at: float | None = None
        self._begin()
        self.saves = saves.Saves(read)

    def go_on(self) -> NoReturn:
        """For ever."""
        while True:
            self._hear()
            if self.follower is not None and self.display is None:
                self.follower.show()
            if self.saves.come():
                self._saved()
            elif self.retry_at is not None and time.monotonic() >= self.retry_at:
                self._try(self.loaded)

    def show_rest(self) -> None:
        if self.follower is not None:
            self.follower.show(last=True)

    def close(self) -> None:
        self.saves.close()
        self._leave()
        if self.follower is not None:
            self.follower.close()

    def _begin(self) -> None:
        events = self.words.begin(self.loaded)
        self._leave()
        self.events, self.display = events, self.called.display("up")

    def _leave(self) -> None:
        if self.display is not None:
            self.display.finish()
        if self.events is not None:
            self.events.close()
        self.events = self.display = None

    def _hear(self) -> None:
        """One event, or none for a moment. Where the daemon ends, another one goes on."""
        if self.events is None:
            self.saves.wait(POLL_S)
            return
        event = self.events.next(POLL_S)
        if isinstance(event, protocol.Containers):
            if self.follower is not None:
                self.follower.know(event.containers)
        elif self.display is not None:
            self.display.tick() if event is None else self.display.show(event)
        if isinstance(event, protocol.Settled):
            self._settled(event)
        elif self.events.over:
            self._over()

    def _settled(self, settled: protocol.Settled) -> None:
        assert self.display is not None
        self.display.finish()
        self.display = None
        invocation.report(self.called, settled)
        self.called.note("watching the files of the project; Ctrl-C ends it")

    def _over(self) -> None:
        """The last `up` has no more to tell: it failed, all its containers have ended, or there is no daemon any more."""
        was_under_way = self.display is not None
        self._leave()
        if was_under_way:
            self._try(self.loaded)

    def _saved(self) -> None:
        """Make of it what was saved, if that is right."""
        try:
            with local_files.noted() as read:
                loaded = self.words.load()
        except errors.OrchestratorError as error:
            output.complain(self.called.err, error)
            self.called.note("nothing is changed; waiting for the next save")
            return
        finally:
            self.saves.watch(read)
        if _same(loaded, self.loaded):
            return
        if loaded.project_name != self.loaded.project_name:
            self.called.note(f"the files are of another project now, {loaded.project_name}: nothing is changed")
            return
        self._try(loaded)

    def _try(self, loaded: loader.Loaded) -> None:
        """Want it. What the daemon refuses waits for the next save; where none can be talked to, it is not the files' fault."""
        before, self.loaded, self.retry_at = self.loaded, loaded, None
        try:
            self._begin()
        except errors.DaemonError as error:
            self.retry_at = time.monotonic() + RETRY_S
            output.complain(self.called.err, error)
            self.called.note("trying again")
        except errors.OrchestratorError as error:
            self.loaded = before
            output.complain(self.called.err, error)
            self.called.note("nothing is changed; waiting for the next save")


def _same(one: loader.Loaded, other: loader.Loaded) -> bool:
    return (one.project_name, one.canonical, one.files) == (other.project_name, other.canonical, other.files)
