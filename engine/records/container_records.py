"""What is on disk of one container, read together: its record, its last run, and how that ended. Nothing is changed here.

They must fit each other, and what its shim says: each alone may look sound, and lead to a second start beside the first.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from engine import errors
from engine.process import wire
from engine.records import shim_records, soundness, store


@dataclass(frozen=True, slots=True)
class Running:
    """What a living shim says of a container: its process, and in which sandbox, of which project, that is."""

    process: wire.Process
    sandbox_uid: str
    project: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """`exit` None: nobody knows how the run ended, or it has not."""

    record: store.ContainerRecord
    run: store.RunRecord | None = None
    exit: wire.Exit | None = None


def read(directory: str, uid: str, running: Running | None) -> Found | None:
    """None: it was never made, nothing is in its directory. Raises `RecordError` where anything is damaged."""
    path = os.path.join(directory, "record.json")
    record = store.find(store.ContainerRecord, path)
    if record is None:
        if running or any(_contents(directory)):
            raise errors.RecordError(f"cannot read {path}: it is gone or empty, and there is more of the container")
        return None
    soundness.check(record, uid, path)
    run = store.find(store.RunRecord, os.path.join(directory, "run.json"))
    if running:
        _refuse_other_run(directory, run, running)
    if not record.whole and run:
        raise errors.RecordError(f"cannot read {path}: it says half-made, and the container has run")
    return Found(record, run, exit_of(directory, run) if run and not running else None)


def exit_of(directory: str, run: store.RunRecord) -> wire.Exit | None:
    """How this run ended; None: nobody knows. Raises `RecordError`."""
    path = os.path.join(directory, "run", wire.EXIT_RECORD)
    try:
        found = shim_records.read(wire.Exit, path)
    except FileNotFoundError:
        return None
    if found.container != os.path.basename(directory):
        raise errors.RecordError(f"cannot read {path}: it is about container {found.container[:12]}")
    return found if found.run == run.run else None


def _refuse_other_run(directory: str, run: store.RunRecord | None, running: Running) -> None:
    path = os.path.join(directory, "run.json")
    if run is None:
        raise errors.RecordError(f"cannot read {path}: it is gone or empty, and the container runs")
    if (run.run, run.sandbox_uid) != (running.process.run, running.sandbox_uid):
        raise errors.RecordError(f"cannot read {path}: it is about another run than the one under way")


def _contents(directory: str) -> Iterator[str]:
    """Whatever is no directory, no draft, and not empty."""
    for folder, names, files in os.walk(directory):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            is_directory = name in names and not os.path.islink(path)
            if not is_directory and (found.st_size or not name.endswith((".json", ".tmp"))) and not _is_draft(name):
                yield path


def _is_draft(name: str) -> bool:
    return name == "record.json.tmp"
