"""One program that is a provider: found, asked what it knows, run, and listened to.

It says a JSON object a line on standard output; where it asks for its service's configuration, it gets it on standard input.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple, NoReturn

from orchestrator import errors
from specs.canonical.providers import Provider

PLUGIN_FOLDERS = (
    "~/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)  # docker/cli cli-plugins/manager
METADATA_S = 20.0


class Said(NamedTuple):
    """The variables of one: those that get the service's name in front, and those that do not."""

    prefixed: dict[str, str]
    raw: dict[str, str]


class Asked(NamedTuple):
    """What one command asks providers with. `note`: tells the user. `config`: a service in Compose's normal form."""

    note: Callable[[str], None]
    project: str
    environment: Mapping[str, str]
    config: Callable[[str], Mapping[str, Any]]


def program_of(provider: Provider, environment: Mapping[str, str]) -> str:
    """Where it is. Raises OrchestratorError."""
    for folder in PLUGIN_FOLDERS:
        path = os.path.join(os.path.expanduser(folder), f"docker-{provider.type}")
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    found = shutil.which(provider.type, path=environment.get("PATH"))
    if found is None:
        _fail(provider, f"there is no program {provider.type!r}", "install it, or put it into PATH")
    return found


def _fail(provider: Provider, message: str, hint: str = "") -> NoReturn:
    file, line, column = provider.place
    raise errors.OrchestratorError(f"{file}:{line}:{column}: services.{provider.name}.provider: {message}", hint=hint)


def words_of(provider: Provider, metadata: Mapping[str, Any], verb: str) -> list[str]:
    """Its options as flags: all, or those that it says it knows. Raises OrchestratorError for one that it must have."""
    known = (metadata.get(verb) or {}).get("parameters") or [] if isinstance(metadata.get(verb), dict) else []
    names = {each["name"]: bool(each.get("required")) for each in known if isinstance(each, dict) and "name" in each}
    for name, is_required in names.items():
        if is_required and name not in provider.options:
            _fail(provider, f"{provider.type} needs the option {name!r}", f"options: {{{name}: …}}")
    passed = {key: values for key, values in provider.options.items() if not metadata or key in names}
    return [f"--{key}={value}" for key, values in passed.items() for value in values]


def _metadata(path: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What it says of its options; nothing where it cannot."""
    try:
        done = subprocess.run(
            [path, "compose", "metadata"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=METADATA_S,
            check=True,
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return found if isinstance(found, dict) else {}


def run(asked: Asked, provider: Provider, verb: str) -> Said:
    """`up`, `down` or `stop`, to its end. Raises OrchestratorError with the provider's place in the files."""
    path = program_of(provider, asked.environment)
    metadata = _metadata(path, asked.environment)
    said = Said({}, {})
    if verb == "stop" and not isinstance(metadata.get("stop"), dict):
        return said
    words = [path, "compose", f"--project-name={asked.project}", verb, *words_of(provider, metadata, verb)]
    try:
        process = subprocess.Popen(
            [*words, provider.name],
            env=dict(asked.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    except OSError as error:
        _fail(provider, f"{path} cannot be run: {error.strerror}")
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        for line in process.stdout:
            if line.strip():
                _hear(asked, provider, line, said, process.stdin)
        code = process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        _close(process)
    if code:
        _fail(provider, f"{provider.type} {verb} failed with exit code {code}")
    asked.note(f"{provider.name}: {verb} by {provider.type}")
    return said


def _hear(asked: Asked, provider: Provider, line: bytes, said: Said, answers: IO[bytes]) -> None:
    """One message. Raises OrchestratorError for an error, and for what is none."""
    try:
        message = json.loads(line)
        kind, text = str(message["type"]), str(message.get("message", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        _fail(provider, f"{provider.type} said what is no message of a provider: {line[:80]!r}")
    match kind:
        case "info":
            asked.note(f"{provider.name}: {text}")
        case "error":
            _fail(provider, f"{provider.type} says: {text}")
        case "setenv" | "rawsetenv":
            key, equals, value = text.partition("=")
            if not key or not equals:
                _fail(provider, f"{provider.type} said a variable without a value: {text!r}")
            (said.prefixed if kind == "setenv" else said.raw)[key] = value
        case "get-service-config":
            answer = json.dumps(asked.config(provider.name), separators=(",", ":")).encode() + b"\n"
            threading.Thread(target=_write, args=(answers, answer), daemon=True).start()  # it may not read it yet
        case "debug":
            pass
        case _:
            _fail(provider, f"{provider.type} said a message of the unknown type {kind!r}")


def _write(stream: IO[bytes], data: bytes) -> None:
    try:
        stream.write(data)
        stream.flush()
    except (OSError, ValueError):  # it has ended, and does not want it any more
        pass


def _close(process: "subprocess.Popen[bytes]") -> None:
    process.wait()
    for stream in (process.stdin, process.stdout):
        try:
            if stream is not None:
                stream.close()
        except OSError:
            pass
