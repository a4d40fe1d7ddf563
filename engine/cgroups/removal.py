"""Taking directories of cgroups away. A cgroup may be busy for an instant after its last process ended."""

import os

from engine.cgroups import signals


def remove(directory: str) -> str:
    """Remove the cgroup with all below it. Returns why not, "" if it is gone."""
    reason = ""

    def is_gone() -> bool:
        nonlocal reason
        for inner, _, _ in os.walk(directory, topdown=False):
            try:
                os.rmdir(inner)
            except FileNotFoundError:
                pass
            except OSError as error:
                reason = f"{inner}: {error.strerror}"
                return False
        return True

    return "" if signals.wait_until(is_gone) else reason


def prune(directory: str, path: str) -> None:
    """Remove what is above the directory of cgroup `path`, up to the topmost one of ours, as far as that is empty."""
    for _ in range(path.count("/")):
        directory = os.path.dirname(directory)
        try:
            os.rmdir(directory)
        except OSError:
            return
