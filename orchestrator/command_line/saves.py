"""Tells when files of a project have been saved: its compose files, env files, configs, secrets, and those that would be read
if they were there.

What a file is, is what counts: the kernel's word about its folder only wakes us, and where there is no such word (network file
systems, folders that come and go) we look by ourselves now and then. So an editor may write in place, write a draft and rename
it, or remove the file and write it anew; what is in the middle of being written is waited for.
"""

import os
import threading
import time
from collections.abc import Mapping

import watchfiles

from specs.local_files import Print, print_of

STILL_MS = 80
"""A save counts when nothing more has come for so long."""

LATEST_MS = 1000
"""And after so long in any case, however much goes on in the folder."""

LOOK_MS = 1000
PATIENCE_S = 3.0
"""The watcher looks every second. Where it does not, something in it hangs, and who asks looks without it."""


class Saves:
    """Watches files from a thread of its own until it is closed. `read`: how each was when it was read (`local_files.noted`)."""

    def __init__(self, read: Mapping[str, Print]) -> None:
        self._lock = threading.Lock()
        self._prints = dict(read)
        self._looked_at = time.monotonic()
        self._came = False
        self._ended = False
        self._again = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saves", daemon=True)
        self._thread.start()

    def watch(self, read: Mapping[str, Print]) -> None:
        """These files from now on."""
        with self._lock:
            self._prints = dict(read)
        self._again.set()

    def come(self) -> bool:
        """Whether a file was saved since the last time this said so."""
        if time.monotonic() - self._looked_at > PATIENCE_S:
            self._look()
        with self._lock:
            came, self._came = self._came, False
            self._news.clear()
            return came

    def wait(self, timeout_s: float) -> None:
        """Until a file was saved, or for so long."""
        self._news.wait(timeout_s)

    def close(self) -> None:
        self._ended = True
        self._again.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while True:
            self._again.clear()
            if self._ended:
                return
            self._look()
            folders = self._folders()
            try:
                self._watch(folders)
            except (OSError, RuntimeError):  # a folder is gone again, or the kernel watches no more
                self._again.wait(LOOK_MS / 1000)

    def _watch(self, folders: list[str]) -> None:
        """Until others are to be watched."""
        for _ in watchfiles.watch(
            *folders,
            watch_filter=None,
            debounce=LATEST_MS,
            step=STILL_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            stop_event=self._again,
            recursive=False,
            raise_interrupt=False,
        ):
            self._look()
            if self._folders() != folders:
                return

    def _look(self) -> None:
        """Take in what the files are now."""
        with self._lock:
            self._looked_at = time.monotonic()
            now = {path: print_of(path) for path in self._prints}
            if now != self._prints:
                self._came, self._prints = True, now
                self._news.set()

    def _folders(self) -> list[str]:
        """Where the files are, also those that links lead to; of a folder that is not there, what is above it."""
        with self._lock:
            paths = [*self._prints]
        return sorted({_standing(os.path.dirname(each)) for path in paths for each in (path, os.path.realpath(path))})


def _standing(folder: str) -> str:
    while not os.path.isdir(folder) and folder != "/":
        folder = os.path.dirname(folder)
    return folder
