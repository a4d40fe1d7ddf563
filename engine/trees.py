"""Removal of directories with all below them, beside the event loop.

A container that has written nothing leaves 15 entries, 1.5 ms of system calls. A few such are removed at once; for many together,
or for one with much below it, `rm` does it: a thread would wait for the event loop after each of those calls. Nobody may write to
the directories any more.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from engine import errors, programs
from engine.batch import Batch

FEW_ENTRIES, FEW_DIRECTORIES = 64, 3
AT_ONCE = 500
"""Directories for one `rm`: their names must fit into its arguments."""


class _TooManyError(Exception):
    pass


@dataclass
class _Asked:
    directory: str
    failed: Exception | None = None


class Remover:
    def __init__(self) -> None:
        self._batch: Batch[_Asked] = Batch(_remove_together, gather_s=0.003)

    async def remove(self, directory: str) -> None:
        """One that is gone is done. Raises OSError, or EngineError; then a part of it may be left."""
        asked = _Asked(directory)
        await self._batch.do(asked)
        if asked.failed:
            await _rm([directory])


async def _remove_together(several: Sequence[_Asked]) -> None:
    if len(several) > FEW_DIRECTORIES:
        try:
            for first in range(0, len(several), AT_ONCE):
                await _rm([each.directory for each in several[first : first + AT_ONCE]])
        except errors.EngineError as error:
            for each in several:  # each shall hear of its own
                each.failed = error
        return
    for each in several:
        try:
            _remove(each.directory, FEW_ENTRIES)
        except FileNotFoundError:
            pass
        except (OSError, _TooManyError) as error:  # also paths that are too long for a name
            each.failed = error


async def _rm(directories: Sequence[str]) -> None:
    done = await programs.run(["rm", "-rf", "--one-file-system", "--", *directories])
    if done.code:
        raise errors.EngineError(f"cannot remove: {done.err.strip()}")


def _remove(directory: str, most: int) -> int:
    """Remove it if that takes at most so many steps; how many are left over. Raises `_TooManyError` in the middle of it."""
    with os.scandir(directory) as entries:
        for entry in entries:
            most -= 1
            if most < 0:
                raise _TooManyError
            if entry.is_dir(follow_symlinks=False):
                most = _remove(entry.path, most)
            else:
                os.unlink(entry.path)
    os.rmdir(directory)
    return most
