"""What the real docker compose says of files: their canonical model, or that it refuses them, and why. It needs no engine."""

import json
import os
import pathlib
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks import fetched

CACHE = pathlib.Path(__file__).parents[2] / ".cache" / "benchmarks"
PROJECT = "golden"
HERE = "<here>"
"""Stands for the folder, so that paths below it are relative."""
ENVIRONMENT = {"HOME": "/home/golden", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
_NICENESS = 10


class Answer(NamedTuple):
    """`model` None: refused, and `said` is why."""

    model: dict[str, Any] | None
    said: str = ""


def program() -> pathlib.Path:
    """docker-compose, fetched by the first who asks."""
    return fetched.fetch_compose(CACHE)


def ask(folder: pathlib.Path, files: Sequence[str], *options: str) -> Answer:
    """Of the files (none: those it finds itself), as if called in the folder."""
    given = [word for file in files for word in ("-f", file)]
    command = ["nice", "-n", str(_NICENESS), program(), *given, "-p", PROJECT, "config", "--format", "json", *options]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        return Answer(None, done.stderr.decode(errors="replace").strip())
    try:
        return Answer(json.loads(done.stdout.decode().replace(str(folder), HERE)))
    except ValueError:
        return Answer(None, "printed no JSON: " + done.stdout.decode(errors="replace")[-200:])


if __name__ == "__main__":
    program()
