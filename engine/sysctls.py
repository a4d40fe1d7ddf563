"""Kernel settings of this machine: read, written, and those of the whole machine recorded, so that they can be put back.

Settings of a bridge vanish with the bridge and need no record. A setting of the whole machine (`net.ipv4.ip_forward`) is
recorded durably, with the value it had, before it is changed the first time:

    <run>/sysctls.json      {"net.ipv4.ip_forward": ["0", "1"]}      what it was, what we made it

A name is written with dots between the parts, and `/` for a dot inside a part, as in sysctl.d(5).
"""

import json
import logging
import os
import re

from engine import errors
from engine.process import durable
from engine.records import store, trusted

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"-?[0-9]{0,10}\Z")


def path_of(name: str) -> str:
    return "/proc/sys/" + "/".join(part.replace("/", ".") for part in name.split("."))


def read(name: str) -> str | None:
    """The value now; None where the kernel, or the interface, has no such setting."""
    try:
        with open(path_of(name), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def path_exists(name: str) -> bool:
    """Whether the kernel has such a setting, or a folder of them."""
    return os.path.exists(path_of(name))


def write(name: str, value: str) -> None:
    """Set it, if it differs. Raises `EngineError`."""
    if read(name) == value:
        return
    try:
        with open(path_of(name), "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise errors.EngineError(f"cannot set {name} to {value}: {error.strerror}") from error


def write_if_there(name: str, value: str) -> None:
    """Set it where there is such a setting: an interface may just have gone, with its settings."""
    if read(name) is not None:
        try:
            write(name, value)
        except errors.EngineError:
            if read(name) is not None:
                raise


class Recorded:
    """The settings of the whole machine that we changed."""

    def __init__(self, run_directory: str) -> None:
        self._path = os.path.join(run_directory, "sysctls.json")
        self._is_told = False

    def has(self, name: str) -> bool:
        """Whether we are the one who changed it; for all we know, where the record cannot be read."""
        changed = self._changed()
        return changed is None or name in changed

    def names(self) -> tuple[str, ...]:
        """Those that we changed."""
        return tuple(self._changed() or ())

    def write(self, name: str, value: str) -> None:
        """Set it, if it differs, and remember what it was, unless the record cannot be read: that is left as it is."""
        changed = self._changed()
        before = read(name)
        if before != value:
            if changed is not None:
                changed.setdefault(name, (before or "", value))
                self._remember(changed)
            write(name, value)

    def restore(self, name: str) -> None:
        """Put it back, unless somebody else has set it to something else since, or nobody knows any more what it was."""
        changed = self._changed()
        if changed is None or name not in changed:
            return
        before, ours = changed.pop(name)
        if read(name) == ours:
            write(name, before)
        self._remember(changed)

    def forget(self, name: str) -> None:
        """Leave it as it is, for whoever needs it now."""
        changed = self._changed()
        if changed and changed.pop(name, None):
            self._remember(changed)

    def _changed(self) -> dict[str, tuple[str, str]] | None:
        """None: the record cannot be read, and says so in the log, once."""
        try:
            said = trusted.mapping_of(self._path)
            found = {str(name): (str(was), str(made)) for name, (was, made) in said.items()}
            if not all(map(_NUMBER.match, (text for pair in found.values() for text in pair))):
                raise errors.RecordError(f"cannot read {self._path}: it says what is no number")
        except FileNotFoundError:
            return {}
        except (errors.RecordError, ValueError, TypeError) as error:
            if not self._is_told:
                log.error("%s; what it says is left as it is, and so are the machine's settings", error)
            self._is_told = True
            return None
        self._is_told = False
        return found

    def _remember(self, changed: dict[str, tuple[str, str]]) -> None:
        if changed:
            store.replace(self._path, trusted.sealed(json.dumps(changed).encode()))
        elif os.path.exists(self._path):
            os.unlink(self._path)
            durable.sync_directory(os.path.dirname(self._path))
