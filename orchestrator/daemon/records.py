"""What is stored of each project, on disk.

    <root>/projects/NAME.json    {"format": 1, "project": reconciler.stored.Stored as JSON, "seal": engine.records.trusted}

Written durably (temp, fsync, rename, fsync of the directory) before anybody is told that it is wanted.
"""

import json
import os
import re

import pydantic

from engine import errors as engine_errors
from engine.process import durable
from engine.records import store, trusted
from orchestrator import errors
from orchestrator.daemon import record_shape
from reconciler.stored import Stored

FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")  # compose-spec 04-version-and-name.md; 63: it is a label of names too


def check_name(name: str) -> None:
    """Raises Invalid for what is no project name: it becomes a file's name."""
    if not NAME.fullmatch(name):
        raise errors.Invalid(
            f"cannot use {name!r} as project name",
            hint="lowercase letters, digits, - and _; at most 63, a letter or digit first",
        )


class Records:
    """The records in one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """Of all that have a record; makes the directory."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        store.sweep(self._directory)
        return sorted(each.removesuffix(".json") for each in os.listdir(self._directory) if each.endswith(".json"))

    def read(self, name: str) -> Stored:
        """Raises Damaged for a record that is not what we wrote; FileNotFoundError where there is none."""
        path = self._path(name)
        try:
            text = trusted.unsealed(path, trusted.content(path))
            record = trusted.json_of(path, text)
            if record["format"] != FORMAT or record["project"]["name"] != name:
                raise ValueError("it has another format, or is another project's")
            record_shape.Record.model_validate_json(text, strict=True)
            return Stored.from_json(record["project"])
        except FileNotFoundError:
            raise
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except engine_errors.RecordError as error:
            said = str(error).removeprefix(f"cannot read {path}: ")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}"
        raise errors.Damaged(f"cannot read {path}: {said}", hint="put it back as it was, or move it away")

    def write(self, stored: Stored) -> None:
        """Raises Refused where it cannot be kept."""
        record = {"format": FORMAT, "project": stored.to_json()}
        try:
            text = json.dumps(record, separators=(",", ":")).encode()
            store.replace(self._path(stored.name), trusted.sealed(text))
        except OSError as error:
            raise errors.Refused(f"cannot store project {stored.name}: {error}") from error

    def remove(self, name: str) -> None:
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            return
        durable.sync_directory(self._directory)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, f"{name}.json")
