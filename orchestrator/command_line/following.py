"""Shows what containers write: `logs`, and `up` without -d. Reads their logs itself; the daemon only says where they are.

Lines of different containers come in the order of their times, as far as they are there; a very long line, which a log keeps in
parts, is shown whole.
"""

import heapq
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TextIO

from engine.logs.reading import Reader, Record, time_text
from orchestrator import client, encoding, errors, protocol
from orchestrator.command_line import invocation, output

POLL_S = 0.1
LINE_BYTES_MAX = 1 << 20
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Options(NamedTuple):
    """`services`: () for all. `tail`: lines of each container, None for all. `since`, `until`: seconds since the epoch. `number`:
    only of the replica with this number."""

    services: tuple[str, ...] = ()
    tail: int | None = None
    since: float | None = None
    until: float | None = None
    number: int | None = None
    timestamps: bool = False
    prefix: bool = True
    colour: bool = True


def tail_of(text: str) -> int | None:
    """Raises UsageError."""
    if text == "all" or text.startswith("-"):
        return None
    if not text.isdecimal():
        raise errors.UsageError(f"cannot use --tail {text}", hint="a number of lines, or all")
    return int(text)


def since_of(text: str, now: float | None = None, *, flag: str = "--since") -> float | None:
    """A moment (RFC 3339, or seconds since the epoch) or so long ago (10m, 1h30m). Raises UsageError."""
    if not text:
        return None
    if re.fullmatch(r"(\d+(\.\d+)?(ms|[smhd]))+", text):
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", text)
        return (time.time() if now is None else now) - sum(float(number) * UNITS_S[unit] for number, unit in parts)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    import datetime

    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise errors.UsageError(f"cannot use {flag} {text}", hint="like 2025-03-01T12:00:00Z, or 10m (ago)") from None
    return moment.timestamp()


class _Source:
    """One container's log, with the parts of a line that is not over."""

    def __init__(self, name: str, reader: Reader) -> None:
        self.name, self.reader = name, reader
        self._parts: dict[str, list[Record]] = {}

    def lines(self) -> Iterator[tuple[str, "_Source", bytes]]:
        """(time, self, text) of all lines that are there."""
        while records := self.reader.read():
            for record in records:
                yield from self._line(record)

    def _line(self, record: Record) -> Iterator[tuple[str, "_Source", bytes]]:
        parts = self._parts.setdefault(record.stream, [])
        parts.append(record)
        if record.is_end or sum(len(part.text) for part in parts) > LINE_BYTES_MAX:
            yield record.time, self, b"".join(part.text for part in parts)
            parts.clear()

    def rest(self) -> Iterator[tuple[str, "_Source", bytes]]:
        """What has no end of line."""
        for parts in self._parts.values():
            if parts:
                yield parts[-1].time, self, b"".join(part.text for part in parts)
                parts.clear()


class Follower:
    """The logs of a changing set of containers. `show` writes what is new."""

    def __init__(self, out: TextIO, options: Options, project: str, *, colour: bool) -> None:
        self._out, self._options, self._project = out, options, project
        self._colour = colour and options.colour
        self._until = "" if options.until is None else time_text(options.until)
        self._sources: dict[str, _Source] = {}
        self._colours: dict[str, str] = {}
        self._width = 0

    def know(self, containers: Iterable[protocol.Container]) -> None:
        """These are there now. The first time a container is seen, it begins at the options' tail. Raises DaemonError."""
        first = not self._sources
        for each in containers:
            wanted = self._options.services
            unwanted = each.service not in wanted if wanted else each.run_of
            unwanted = unwanted or self._options.number not in (None, each.number)
            if unwanted or not each.log or each.uid in self._sources:
                continue
            name = each.name.removeprefix(f"{self._project}-")
            try:
                reader = Reader(each.log, tail=self._options.tail if first else None, since=self._options.since)
            except PermissionError:
                raise errors.DaemonError(f"cannot read {each.log}: it belongs to root", hint="run with sudo") from None
            self._sources[each.uid] = _Source(name, reader)
            self._width = max(self._width, len(name))
            self._colours.setdefault(name, output.PREFIX_COLOURS[len(self._colours) % len(output.PREFIX_COLOURS)])

    def show(self, *, last: bool = False) -> None:
        """Write all that is there, by time. `last`: also lines that have no end yet."""
        for line in heapq.merge(*(source.lines() for source in self._sources.values()), key=_time_of):
            self._write(*line)
        for source in self._sources.values() if last else ():
            for line in source.rest():
                self._write(*line)
        self._out.flush()

    def close(self) -> None:
        for source in self._sources.values():
            source.reader.close()

    def _write(self, moment: str, source: _Source, text: bytes) -> None:
        head = ""
        if self._until and moment >= self._until:
            return
        if self._options.prefix:
            head = output.painted(
                f"{output.clean(source.name):{self._width}}  | ", self._colours[source.name], self._colour
            )
        if self._options.timestamps:
            head += f"{moment} "
        self._out.write(head)
        binary = getattr(self._out, "buffer", None)
        if binary is None:
            self._out.write(text.decode(errors="replace") + "\n")
            return
        self._out.flush()
        binary.write(text + b"\n")


def _time_of(line: tuple[str, _Source, bytes]) -> str:
    return line[0]


def refuse_unknown(answer: dict[str, Any], services: Iterable[str]) -> None:
    """Raises UsageError for a service that has no container."""
    known = {each.service for each in encoding.parse(protocol.Containers, answer).containers}
    for name in services:
        if name not in known:
            raise errors.UsageError(f"no such service: {name}", hint="corral ps -a")


def show(called: invocation.Invocation, answer: dict[str, Any], options: Options) -> int:
    """All that is there."""
    follower = _follower(called, options)
    try:
        follower.know(encoding.parse(protocol.Containers, answer).containers)
        follower.show(last=True)
    finally:
        follower.close()
    return 0


def follow(called: invocation.Invocation, events: client.Events, options: Options) -> int:
    """All that is there and all that comes, until nothing runs any more."""
    follower = _follower(called, options)
    try:
        until_over(events, follower, until=options.until)
        follower.show(last=True)
    finally:
        follower.close()
        events.close()
    return 0


def until_over(
    events: client.Events,
    follower: Follower,
    is_enough: Callable[[protocol.Containers], object] = lambda event: False,
    *,
    until: float | None = None,
) -> None:
    """Show what comes until the events say that all is over, or it `is_enough`, or it is `until`. Raises DaemonError where the
    daemon ends."""
    while until is None or time.time() < until:
        event = events.next(POLL_S)
        if isinstance(event, protocol.Containers):
            follower.know(event.containers)
            if event.over or is_enough(event):
                return
        follower.show()
        if events.over:
            raise errors.DaemonError("the daemon ended; the containers go on", hint="corral logs -f")


def _follower(called: invocation.Invocation, options: Options) -> Follower:
    return Follower(called.out, options, called.project_name(), colour=called.may_colour(sys.stdout))
