"""What clients hear of a project while they listen: the loop's events, in the words of the protocol."""

import math
from collections.abc import Callable, Iterator
from typing import Self

import anyio

from orchestrator import protocol
from reconciler import events
from reconciler.resource import Action, Blocked

BACKLOG = 20_000
"""Events that a client may leave unread; then it is no longer served."""


class Feed:
    """One client's events, to be iterated over and closed. It is told a change, and a reason to wait, only when it is new.
    `containers`: it wants `Containers` events too. `left` is called once, when it is closed."""

    def __init__(self, left: Callable[["Feed"], None], *, containers: bool = False) -> None:
        self.containers = containers
        self._put, self._get = anyio.create_memory_object_stream[protocol.Event](BACKLOG)
        self._left = left
        self._changes: dict[str, protocol.Change] = {}
        self._waiting: dict[str, protocol.Waiting] = {}
        self.closed = anyio.Event()

    def put(self, event: protocol.Event) -> None:
        """Never waits."""
        if isinstance(event, protocol.Planned) and not (event := self._news(event)).changes and not event.waiting:
            return
        try:
            self._put.send_nowait(event)
        except anyio.WouldBlock:
            self.close()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    def end(self, event: protocol.Settled) -> None:
        """The last event."""
        self.put(event)
        self._put.close()

    def close(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            self._put.close()
            self._get.close()
            self._left(self)

    def _news(self, planned: protocol.Planned) -> protocol.Planned:
        changes = {each.id: each for each in planned.changes}
        waiting = {each.id: each for each in planned.waiting}
        news = protocol.Planned(
            tuple(each for id_, each in changes.items() if self._changes.get(id_) != each),
            tuple(each for id_, each in waiting.items() if self._waiting.get(id_) != each),
            planned.kept,
        )
        self._changes, self._waiting = changes, waiting
        return news

    def more(self) -> Iterator[protocol.Event]:
        """Those that are there already."""
        try:
            while True:
                yield self._get.receive_nowait()
        except (anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError):
            return

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> protocol.Event:
        try:
            return await self._get.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise StopAsyncIteration from None


def told(event: events.Event) -> protocol.Event | None:
    """The event in the words of the protocol; None: nothing for clients."""
    match event:
        case events.PlanChanged(plan):
            changes = tuple(
                protocol.Change(each.id, each.action.value, each.reasons)
                for each in plan.changes
                if each.action is not Action.KEEP
            )
            return protocol.Planned(changes, waiting_of(plan.blocked), plan.kept)
        case events.StepBegun(step):
            return protocol.Begun(step.id, step.verb.value, step.because)
        case events.StepSaid(step, line):
            return protocol.Said(step.id, line)
        case events.StepEnded(step, took_s):
            return protocol.Ended(step.id, step.verb.value, took_s)
        case events.StepFailed(step, error, _, took_s):
            return protocol.Ended(step.id, step.verb.value, took_s, error)
        case events.LookFailed(error):
            return protocol.Note(error)
    return None


def waiting_of(blocked: tuple[Blocked, ...]) -> tuple[protocol.Waiting, ...]:
    return tuple(protocol.Waiting(each.id, each.verb, reason_of(each), each.hope) for each in blocked)


def reason_of(blocked: Blocked) -> str:
    """Why, in words; `until` is not told, it would be another one at every plan."""
    if blocked.why:
        return blocked.why
    return f"waits for {', '.join(blocked.by)}" if blocked.by else "waits"


def is_restarting(blocked: Blocked) -> bool:
    """A container that has exited and is about to be started again."""
    return blocked.id.startswith("container:") and blocked.verb == "start" and blocked.until < math.inf
