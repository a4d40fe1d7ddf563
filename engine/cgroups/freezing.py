"""A cgroup whose processes stand still: all of them, also those born meanwhile, until they may go on.

The v2 tree can do it wherever there is one, also beside a v1 freezer; SIGKILL ends frozen processes there. In a v1 hierarchy they
die only once they thaw.
https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files
"""

import os
from collections.abc import Mapping

from engine.cgroups import setting, v2
from engine.errors import EngineError, TerminalEngineError


def freeze(v2_directory: str | None, forest: Mapping[str, str], *, on: bool) -> None:
    """Tell the kernel to; `is_frozen` says when it is so. Letting go of a cgroup that is gone is done."""
    path, word = _switch(v2_directory, forest, on)
    try:
        setting.write(path, word)
    except OSError as error:
        if on or not isinstance(error, FileNotFoundError):
            raise EngineError(f"cannot {'freeze' if on else 'thaw'} {path}: {error.strerror}") from error


def is_told_to(v2_directory: str | None, forest: Mapping[str, str]) -> bool:
    """The kernel was told to freeze it, by whomever."""
    if not v2_directory and "freezer" not in forest:
        return False
    path, thawed = _switch(v2_directory, forest, False)
    try:
        return setting.read(path) != thawed
    except OSError:
        return False


def is_frozen(v2_directory: str | None, forest: Mapping[str, str]) -> bool:
    """Everything in it stands still."""
    try:
        if v2_directory:
            return v2.events_of(v2_directory).get("frozen") == 1
        return setting.read(os.path.join(forest["freezer"], "freezer.state")) == "FROZEN"
    except (OSError, KeyError):
        return False


def _switch(v2_directory: str | None, forest: Mapping[str, str], on: bool) -> tuple[str, str]:
    """A file and what to write into it."""
    if v2_directory:
        return os.path.join(v2_directory, "cgroup.freeze"), "1" if on else "0"
    if "freezer" not in forest:
        raise TerminalEngineError("cannot freeze: this machine has neither a v2 cgroup tree nor a v1 freezer")
    return os.path.join(forest["freezer"], "freezer.state"), "FROZEN" if on else "THAWED"
