"""The events of each project: told to who listens, and kept on disk for those who ask later.

    <root>/projects/NAME.events    one event a line, as the protocol writes it; gone when `down` has left nothing of the project

At most half a megabyte, some two thousand events: what is longer is written anew with the younger half, after a summary of
what the older half came to (lines with "summary": true; they are not told), so that a new daemon knows what was told already,
and tells what happened since. Appended without waiting for the disk: a daemon may die at any moment and loses nothing; a machine
that loses its power may lose the last seconds.
"""

import errno
import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Mapping

from engine.errors import RecordError
from engine.records import store, trusted
from engine.types.infos import Look
from orchestrator import encoding, errors
from orchestrator.daemon import feeds, happenings
from orchestrator.protocol import Happened

log = logging.getLogger(__name__)

BYTES_MAX = 1 << 19
SUFFIX = ".events"
PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Chronicle:
    """Of one project; it may be not up (yet)."""

    def __init__(self, path: str, *, bytes_max: int = BYTES_MAX) -> None:
        self._path, self._bytes_max = path, bytes_max
        self._known: happenings.Known | None = None
        self._feeds: set[feeds.Feed] = set()
        self._restarted: set[str] = set()
        self._is_torn = True  # for all we know: the last line has no end

    def see(self, look: Look, health: Mapping[str, str], now: float) -> None:
        """This is all there is now: tell what must have happened since the last time."""
        if self._known is None:
            self._known = happenings.Known()
            for event, _ in self._read():
                self._known.note(event)
        found = []
        for event in happenings.between(self._known, look, health, now):
            found.append(event)
            if event.action == "start" and event.id in self._restarted:
                self._restarted.remove(event.id)
                found.append(event._replace(action="restart"))
        self.tell(*found)

    def tell(self, *told: Happened) -> None:
        """These have happened."""
        if not told:
            return
        for event in told:
            if self._known is not None:
                self._known.note(event)
            for feed in tuple(self._feeds):
                feed.put(event)
        try:
            self._append(b"".join(map(encoding.line_of, told)))
        except OSError as error:
            log.warning("cannot keep %s: %s", self._path, error)

    def expect_restart(self, uids: Iterable[str]) -> None:
        """The next start of each of these containers is the end of a `restart`."""
        self._restarted |= set(uids)

    def listen(self, since: float | None = None) -> feeds.Feed:
        """A feed of what happens from now on, and before that what is kept from `since` on; the caller closes it."""
        feed = feeds.Feed(left=self._feeds.discard)
        for event, is_summary in self._read() if since is not None else ():
            if not is_summary and event.at >= (since or 0.0):
                feed.put(event)
        self._feeds.add(feed)
        return feed

    def forget(self) -> None:
        """Nothing of the project is left: what is kept goes too. Who listens hears of the next one of this name."""
        self._known = None
        self._restarted.clear()
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("cannot remove %s: %s", self._path, error)

    # ------------------------------------------------------------------------------------------------- on disk

    def _read(self) -> Iterator[tuple[Happened, bool]]:
        """(event, whether it is part of the summary); lines that are none are left out."""
        try:
            lines = trusted.content(self._path, 4 * self._bytes_max).splitlines()
        except FileNotFoundError:
            return
        except RecordError as error:
            log.warning("%s: what happened before now is not known", error)
            return
        for line in lines:
            try:
                data = json.loads(line)
                is_summary = bool(data.pop("summary", False))
                del data["event"]
                yield encoding.parse(Happened, data), is_summary
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, errors.Invalid):
                continue

    def _append(self, text: bytes) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | PLAIN, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            os.write(descriptor, b"\n" + text if self._is_torn and os.fstat(descriptor).st_size else text)
            self._is_torn = False
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size > self._bytes_max:
            self._shorten()

    def _shorten(self) -> None:
        """The younger half, after a summary of the rest. The old file or the new one, never half."""
        events = list(self._read())
        size, kept = 0, len(events)
        while kept and (size := size + len(encoding.line_of(events[kept - 1][0]))) <= self._bytes_max // 2:
            kept -= 1
        before = happenings.Known()
        for event, _ in events[:kept]:
            before.note(event)
        summary = (_summary_line(event) for event in before.summary())
        young = (encoding.line_of(event) for event, is_summary in events[kept:] if not is_summary)
        temporary = f"{self._path}.new"
        descriptor = os.open(temporary, store.DRAFT, 0o600)
        with open(descriptor, "wb") as file:
            file.writelines((*summary, *young))
        os.replace(temporary, self._path)


def _summary_line(event: Happened) -> bytes:
    data = json.loads(encoding.line_of(event)) | {"summary": True}
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


class Chronicles:
    """Of all projects, in one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._all: dict[str, Chronicle] = {}

    def of(self, project: str) -> Chronicle:
        """`project` is a name that may be a file's."""
        if project not in self._all:
            self._all[project] = Chronicle(os.path.join(self._directory, project + SUFFIX))
        return self._all[project]
