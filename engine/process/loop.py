"""The shim's event loop: descriptors and deadlines, one thread, nothing that blocks.

Runs in the zygote: the listed stdlib modules only.
"""

import select
import time
from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT

REST_S, REST_S_MAX = 3.0, 60.0
"""Each time twice as long as before: who has a probe each second is never at rest for long, and coming to it costs 2 ms."""

LONGEST_S = 3600.0  # epoll_wait(2) counts milliseconds in an int: 24 days are its end


class Loop:
    """`rest` is called some seconds after something has happened, once for all that has happened by then."""

    def __init__(self, rest: Callable[[], object] = lambda: None) -> None:
        self._rest, self._is_to_rest, self._rest_s = rest, False, REST_S
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._deadlines: dict[object, tuple[float, Callable[[], None]]] = {}

    def watch(self, descriptor: int, callback: Callable[[int], None], events: int = READ) -> None:
        """Call back with the events whenever there are any, until `forget`."""
        if descriptor in self._callbacks:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Before the descriptor is closed. One that is not watched is forgotten already."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def after(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call back once; returns what `cancel` wants."""
        ticket = object()
        self._deadlines[ticket] = (time.monotonic() + delay_s, callback)
        return ticket

    def cancel(self, ticket: object) -> None:
        self._deadlines.pop(ticket, None)

    def run(self) -> None:
        """For ever."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Wait for something to happen, and call back."""
        happened = self._epoll.poll(self._timeout())
        for descriptor, events in happened:
            callback = self._callbacks.get(descriptor)
            if callback is not None:  # forgotten by an earlier callback of this round
                callback(events)
        if happened and not self._is_to_rest:
            self._is_to_rest = True
            self.after(self._rest_s, self._come_to_rest)
        if self._deadlines:
            self._expire(time.monotonic())

    def close(self) -> None:
        self._epoll.close()

    def _come_to_rest(self) -> None:
        self._is_to_rest = False
        self._rest()
        self._rest_s = min(2 * self._rest_s, REST_S_MAX)

    def _timeout(self) -> float | None:
        if not self._deadlines:
            return None
        return min(LONGEST_S, max(0.0, min(when for when, _ in self._deadlines.values()) - time.monotonic()))

    def _expire(self, now: float) -> None:
        for ticket, (when, callback) in list(self._deadlines.items()):
            if when <= now and self._deadlines.pop(ticket, None) is not None:
                callback()
