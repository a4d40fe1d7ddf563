"""Shows what a command makes happen, while it happens, on standard error.

`Board` turns events into rows, one a container, network, volume or image (the sandbox and the endpoints of a container show
in its row); it is pure: time comes in. `Terminal` draws the board again and again in place, `Plain` writes a line when
something is done, `Lines` passes the events on as JSON, `Quiet` says nothing.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

from engine.process.records import NamedTuple
from orchestrator import encoding, protocol
from orchestrator.command_line import output

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
REDRAW_S = 0.1
PAST = {"create": "created", "update": "updated", "remove": "removed", "start": "started", "stop": "stopped"} | {
    "release": "ports released"
}
NOW = {"create": "creating", "update": "updating", "remove": "removing", "start": "starting", "stop": "stopping"} | {
    "release": "releasing ports"
}
PARTS = {"sandbox": "sandbox", "endpoint": "network"}
"""Kinds that show in the row of their container, and the word for them there."""

KINDS = {"image": 0, "network": 1, "volume": 2, "container": 3}


class Row(NamedTuple):
    """`mark`: "run", "done", "fail", "wait" or "todo"."""

    id: str
    mark: str = "todo"
    text: str = ""
    began: float | None = None
    seconds: float = 0.0


def row_id(resource_id: str) -> str:
    """The row that shows a resource: `endpoint:dn1/lab` in that of `container:dn1`."""
    kind, _, name = resource_id.partition(":")
    return f"container:{name.split('/')[0]}" if kind in PARTS else resource_id


class Board:
    """All rows, by id. `title` is the command's name."""

    def __init__(self, title: str, now: float) -> None:
        self.title = title
        self.began = now
        self.rows: dict[str, Row] = {}
        self._finished: dict[str, Row] = {}  # what a row said before one of its parts began to move

    def apply(self, event: protocol.Event, now: float) -> list[Row]:
        """Take an event in; the rows that it finished."""
        match event:
            case protocol.Planned(changes, waiting, _):
                for change in changes:
                    self.rows.setdefault(row_id(change.id), Row(row_id(change.id)))
                for each in waiting:
                    self._wait(each)
            case protocol.Begun(id_, verb, _):
                self._begin(id_, verb, now)
            case protocol.Said(id_, text) if id_ in self.rows:
                self.rows[id_] = self.rows[id_]._replace(text=f"leaving: {text}")
            case protocol.Ended():
                return self._end(event, now)
        return []

    def _wait(self, waiting: protocol.Waiting) -> None:
        row = self.rows.get(row_id(waiting.id))
        if row is None or row.mark in ("todo", "wait") or (row.mark == "done" and row.id == waiting.id):
            self.rows[row_id(waiting.id)] = Row(row_id(waiting.id), "wait", waiting.reason, *(row[3:] if row else ()))

    def _begin(self, resource_id: str, verb: str, now: float) -> None:
        id_, kind = row_id(resource_id), resource_id.partition(":")[0]
        row = self.rows.get(id_) or Row(id_)
        part = f" {PARTS[kind]}" if kind in PARTS else ""
        self.rows[id_] = row._replace(
            mark="run", text=f"{NOW.get(verb, verb)}{part}", began=now if row.began is None else row.began
        )

    def _end(self, ended: protocol.Ended, now: float) -> list[Row]:
        id_ = row_id(ended.id)
        row = self.rows.get(id_) or Row(id_, began=now - ended.seconds)
        took = now - (now if row.began is None else row.began)
        if ended.error:
            self.rows[id_] = row._replace(mark="fail", text=ended.error, seconds=took)
        elif ended.id == id_:
            self.rows[id_] = row._replace(mark="done", text=PAST.get(ended.verb, ended.verb), seconds=took)
            self._finished[id_] = self.rows[id_]
        else:
            if row.mark == "run":
                self.rows[id_] = self._finished.get(id_) or row._replace(mark="wait", text="")
            return []
        return [self.rows[id_]]

    def sorted_rows(self) -> list[Row]:
        return sorted(self.rows.values(), key=lambda row: (KINDS.get(row.id.partition(":")[0], 9), _natural(row.id)))

    def lines(self, now: float, width: int, height: int, colour: bool) -> list[str]:
        """The board as text for a terminal of this size; what does not fit is counted, what is done goes first."""
        rows = self.sorted_rows()
        done = sum(row.mark == "done" for row in rows)
        head = f"[+] {self.title} {done}/{len(rows)}  {now - self.began:.1f}s"
        room = max(height - 3, 1)
        hidden = len(rows) - room
        if hidden > 0:
            urgent = sorted(rows, key=lambda row: ("fail", "run", "wait", "todo", "done").index(row.mark))[: room - 1]
            rows = [row for row in rows if row in urgent]
            tail = [f"   … and {hidden + 1} more"]
        else:
            tail = []
        name_width = min(max((len(row.id) for row in rows), default=0), max(width // 2, 12))
        body = [_drawn(row, now, width=width, name_width=name_width, colour=colour) for row in rows]
        return [head[:width], *body, *tail]


def _natural(text: str) -> list[tuple[int, str]]:
    """A key that puts dn2 before dn10."""
    import re

    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _drawn(row: Row, now: float, *, width: int, name_width: int, colour: bool) -> str:
    spin = SPINNER[int(now * 10) % len(SPINNER)]
    mark, paint = {"done": ("✔", output.GREEN), "fail": ("✘", output.RED), "run": (spin, output.CYAN)}.get(
        row.mark, ("·", output.DIM)
    )
    seconds = now - row.began if row.mark == "run" and row.began is not None else row.seconds
    clock = f"{seconds:.1f}s" if row.mark in ("done", "run", "fail") else ""
    name = output.clean(row.id)
    name = name if len(name) <= name_width else name[: name_width - 1] + "…"
    room = max(width - name_width - len(clock) - 7, 4)
    text = output.clean(row.text or "waiting")
    text = text if len(text) <= room else text[: room - 1] + "…"
    return f" {output.painted(mark, paint, colour)} {name:{name_width}}  {text:{room}} {clock:>}".rstrip()


class Display(Protocol):
    """Takes events; `finish` leaves the last picture standing. `tick` is called when nothing came for a while."""

    def show(self, event: protocol.Event) -> None: ...
    def tick(self) -> None: ...
    def finish(self) -> None: ...


class Terminal:
    """Draws the board in place."""

    def __init__(self, stream: TextIO, title: str, colour: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._colour, self._clock = stream, colour, clock
        self._board = Board(title, clock())
        self._drawn_lines = 0
        self._drawn_at = 0.0

    def show(self, event: protocol.Event) -> None:
        self._board.apply(event, self._clock())
        if isinstance(event, protocol.Note):
            self._stream.write(f"\r\x1b[J{output.clean(event.text)}\n")
            self._drawn_lines = 0
        self._draw()

    def tick(self) -> None:
        self._draw()

    def finish(self) -> None:
        self._draw(force=True)

    def _draw(self, force: bool = False) -> None:
        now = self._clock()
        if not self._board.rows or (now - self._drawn_at < REDRAW_S and not force):
            return
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = os.terminal_size((100, 40))
        lines = self._board.lines(now, max(size.columns - 1, 20), size.lines, self._colour)
        up = f"\x1b[{self._drawn_lines}A" if self._drawn_lines else ""
        self._stream.write(up + "\r\x1b[J" + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn_lines, self._drawn_at = len(lines), now


class Plain:
    """A line for everything that is done or went wrong."""

    def __init__(self, stream: TextIO, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._board = Board(title, clock())
        self._said: dict[str, str] = {}

    def show(self, event: protocol.Event) -> None:
        if isinstance(event, protocol.Note):
            self._stream.write(f"{output.clean(event.text)}\n")
        for row in self._board.apply(event, self._clock()):
            line = (
                f"{row.id}  {row.text}  {row.seconds:.1f}s" if row.mark == "done" else f"{row.id}  failed: {row.text}"
            )
            self._stream.write(f"{output.clean(line)}\n")
        if isinstance(event, protocol.Planned):
            self._tell_waiting(event)
        if isinstance(event, protocol.Said) and self._said.get(event.id) != event.text:
            self._said[event.id] = event.text
            self._stream.write(f"{output.clean(f'{event.id}  leaving: {event.text}')}\n")
        self._stream.flush()

    def _tell_waiting(self, planned: protocol.Planned) -> None:
        """Only of containers that wait for nothing but containers, on their way up: that may take long."""
        for each in planned.waiting:
            is_worth_it = all(part.startswith("container:") for part in (each.id, *each.reason.split("; ")))
            if is_worth_it and each.verb in ("create", "start") and self._said.get(each.id) != each.reason:
                self._said[each.id] = each.reason
                self._stream.write(f"{output.clean(f'{each.id}  waits: {each.reason}')}\n")

    def tick(self) -> None:
        pass

    def finish(self) -> None:
        self._stream.flush()


class Lines:
    """The events themselves, one JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: protocol.Event) -> None:
        if not isinstance(event, protocol.Containers):
            self._stream.write(encoding.line_of(event).decode())
            self._stream.flush()

    def tick(self) -> None:
        pass

    def finish(self) -> None:
        pass


class Quiet:
    def show(self, event: protocol.Event) -> None:
        pass

    def tick(self) -> None:
        pass

    def finish(self) -> None:
        pass


def display_of(
    mode: str, title: str, stream: TextIO, environ: Mapping[str, str], *, ansi: str = output.AUTO
) -> Display:
    """What `--progress` asks for; "auto" draws where the stream is a terminal, and `ansi` does not say never."""
    if mode == "json":
        return Lines(stream)
    if mode == "quiet":
        return Quiet()
    can_draw = output.is_terminal(stream) and environ.get("TERM", "") != "dumb" and ansi != output.NEVER
    if mode == "tty" or (mode == "auto" and can_draw):
        return Terminal(stream, title, output.may_colour(stream, environ, ansi=ansi))
    return Plain(stream, title)
