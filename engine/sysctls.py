"""Kernel settings of this machine: read, written, and those of the whole machine recorded, so that they can be put back.

Settings of a bridge vanish with the bridge and need no record. A setting of the whole machine (`net.ipv4.ip_forward`) is
recorded durably, with the value it had, before it is changed the first time:

    <run>/sysctls.json      {"net.ipv4.ip_forward": ["0", "1"]}      what it was, what we made it

A name is written with dots between the parts, and `/` for a dot inside a part, as in sysctl.d(5).
"""

import json
import os

from engine import errors, store
from engine.process import durable


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

    def has(self, name: str) -> bool:
        """Whether we are the one who changed it."""
        return name in self._changed()

    def names(self) -> tuple[str, ...]:
        """Those that we changed."""
        return tuple(self._changed())

    def write(self, name: str, value: str) -> None:
        """Set it, if it differs, and remember what it was."""
        changed = self._changed()
        before = read(name)
        if before != value:
            changed.setdefault(name, (before or "", value))
            self._remember(changed)
            write(name, value)

    def restore(self, name: str) -> None:
        """Put it back, unless somebody else has set it to something else since."""
        changed = self._changed()
        if name not in changed:
            return
        before, ours = changed.pop(name)
        if read(name) == ours:
            write(name, before)
        self._remember(changed)

    def forget(self, name: str) -> None:
        """Leave it as it is, for whoever needs it now."""
        changed = self._changed()
        if changed.pop(name, None):
            self._remember(changed)

    def _changed(self) -> dict[str, tuple[str, str]]:
        try:
            with open(self._path, encoding="utf-8") as file:
                return {str(name): (str(was), str(made)) for name, (was, made) in json.load(file).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError) as error:
            raise errors.RecordError(f"cannot read {self._path}: {error}") from error

    def _remember(self, changed: dict[str, tuple[str, str]]) -> None:
        if changed:
            store.replace(self._path, json.dumps(changed).encode())
        elif os.path.exists(self._path):
            os.unlink(self._path)
            durable.sync_directory(os.path.dirname(self._path))
