"""Where a project's files, its directory, its variables and its name come from.

In Compose's order (docker/compose cmd/compose, compose-go cli/options.go): the shell's variables win over env files; an
env file may say COMPOSE_FILE; the first file's folder is the project's directory, and its `.env` is read too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from specs import errors, local_files
from specs.patterns import pattern

# compose-go cli/options.go
FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
OUR_NAMES = ("compose.corral.yaml", "compose.corral.yml")
"""Laid over the others: what only corral is to read, so that a file of somebody else's stays as it is."""
STDIN = "-"
NAME_VARIABLE = "COMPOSE_PROJECT_NAME"
_NAME = pattern(r"[a-z0-9][a-z0-9_-]*")


class Given(NamedTuple):
    """What the command line says, and where it was said. `environment` is the shell's; `cwd` is absolute."""

    cwd: str
    environment: Mapping[str, str]
    files: tuple[str, ...] = ()
    project_directory: str = ""
    env_files: tuple[str, ...] = ()


class Surroundings(NamedTuple):
    """`files` and `directory` are absolute (or "-" for standard input); `variables` are for interpolation; `env_files`: those
    that some of them are from."""

    files: tuple[str, ...]
    directory: str
    variables: dict[str, str]
    notes: tuple[str, ...]
    env_files: tuple[str, ...] = ()


def look(given: Given) -> Surroundings:
    """Find the files and read the variables. Raises SpecErrors."""
    variables = dict(given.environment)
    notes: list[str] = []
    files = tuple(_absolute(given, file) for file in given.files)
    env_files = _read_env_files(given, _directory(given, files), variables)
    if not files and (listed := variables.get("COMPOSE_FILE")):
        separator = variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        files = tuple(_absolute(given, file) for file in listed.split(separator))
    files = files or _default_files(_directory(given, files), notes)
    directory = _directory(given, files)
    env_files += _read_env_files(given, directory, variables)
    return Surroundings(files, directory, variables, tuple(notes), tuple(dict.fromkeys(env_files)))


def project_name(option: str, written: str, surroundings: Surroundings) -> str:
    """The project's name: the option's, COMPOSE_PROJECT_NAME, the files', or the directory's. Raises SpecErrors."""
    for name, source in (
        (option, "-p"),
        (surroundings.variables.get(NAME_VARIABLE, ""), NAME_VARIABLE),
    ):
        if name and not _NAME.fullmatch(name):
            raise _error(
                f"'{name}' ({source}) is not a project's name: small letters, digits, - and _, the first a letter or digit"
            )
        if name:
            return name
    name = normalised(written) or normalised(os.path.basename(surroundings.directory))
    if not name:
        raise _error(f"the folder {surroundings.directory} gives the project no name", "write name: or give -p NAME")
    return name


def normalised(name: str) -> str:
    """The name with everything taken out that a project's name cannot have."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def profiles(options: tuple[str, ...], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The active profiles. Without any it is the one without a name (compose-go cli/options.go)."""
    found = options or tuple(variables.get("COMPOSE_PROFILES", "").split(","))
    return tuple(name.strip() for name in found if name.strip()) or ("",)


def shown(file: str, cwd: str) -> str:
    """The file's name for a message: relative where it is below."""
    below = cwd.rstrip("/") + "/"
    return file.removeprefix(below)


def absolute(directory: str, file: str) -> str:
    return os.path.normpath(os.path.join(directory, file))


def _absolute(given: Given, file: str) -> str:
    return file if file == STDIN else os.path.normpath(os.path.join(given.cwd, file))


def _directory(given: Given, files: tuple[str, ...]) -> str:
    if given.project_directory:
        return _absolute(given, given.project_directory)
    return next((os.path.dirname(file) for file in files if file != STDIN), given.cwd)


def _default_files(directory: str, notes: list[str]) -> tuple[str, ...]:
    """The first default file from the directory upwards, with its override file, and the one that is for corral."""
    folder = directory
    while True:
        found = _existing(folder, FILE_NAMES, notes)
        if found:
            beside = [_existing(folder, names, notes) for names in (OVERRIDE_NAMES, OUR_NAMES)]
            return (found, *filter(None, beside))
        parent = os.path.dirname(folder)
        if parent == folder:
            raise _error(f"there is no compose.yaml in {directory} or above", "give one with -f FILE")
        folder = parent


def _existing(folder: str, names: tuple[str, ...], notes: list[str]) -> str:
    found = [path for name in names if local_files.exists(path := os.path.join(folder, name))]
    if len(found) > 1:
        notes.append(f"of {', '.join(found)} only the first is read")
    return found[0] if found else ""


def _read_env_files(given: Given, directory: str, variables: dict[str, str]) -> list[str]:
    """Add what the env files say to the variables, which win. Gives the files."""
    listed = given.env_files or tuple(filter(None, given.environment.get("COMPOSE_ENV_FILES", "").split(",")))
    files = [_absolute(given, file) for file in listed]
    if not files:
        default = os.path.join(directory, ".env")
        files = [default] if _has_default(given) and local_files.is_file(default) else []
    found: dict[str, str] = {}
    for file in files:
        found |= read_env_file(file, {**found, **variables})
    for name, value in found.items():
        variables.setdefault(name, value)
    return files


def _has_default(given: Given) -> bool:
    said = given.environment.get("COMPOSE_DISABLE_ENV_FILE", "")
    if not said:
        return True
    from specs.keys import shapes

    try:
        return not shapes.to_boolean(said)
    except ValueError:
        return said != "1"


def read_env_file(file: str, outer: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file. Raises SpecErrors."""
    from specs.files import dotenv  # most projects have no such file, and most commands read nothing else of the files

    try:
        return dotenv.parse(local_files.text(file), outer)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _error(f"cannot read the env file {file}: {reason}") from error
    except dotenv.DotenvError as error:
        raise errors.SpecErrors([errors.SpecError((), str(error), file, error.line, 1)]) from error


def _error(message: str, hint: str = "") -> errors.SpecErrors:
    return errors.SpecErrors([errors.SpecError((), message, hint=hint)])
