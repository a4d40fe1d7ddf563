"""What `run` says of its container, as a document that is laid over the project's files. So it is written, checked and merged as
they are, and what is wrong with it is told likewise.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator import errors


def document(arguments: argparse.Namespace, environ: Mapping[str, str], *, tty: bool, stdin_open: bool) -> str:
    """YAML. Raises UsageError."""
    fields = {key: written(value) for key, value in said(arguments, environ).items()}
    fields |= {"tty": written(tty), "stdin_open": written(stdin_open)}
    ports = written(arguments.publish)
    if not arguments.service_ports:
        fields["ports"] = f"!override {ports}" if arguments.publish else "!reset []"
    elif arguments.publish:
        fields["ports"] = ports
    body = "".join(f"    {key}: {value}\n" for key, value in fields.items())
    text = f"services:\n  {written(arguments.service)}:\n{body}"
    volumes = [name for each in arguments.volume if (name := named_volume(each))]
    return text + (f"volumes: {written({key: {} for key in volumes})}\n" if volumes else "")


def said(arguments: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, Any]:
    """The keys of a service."""
    found: dict[str, Any] = {}
    if arguments.entrypoint is not None:
        found |= {"entrypoint": escaped(arguments.entrypoint), "command": []}
    if arguments.command:
        found["command"] = [escaped(word) for word in arguments.command]
    for key, value in (("user", arguments.user), ("working_dir", arguments.workdir)):
        found |= {key: escaped(value)} if value is not None else {}
    variables = [*from_files(arguments.env_from_file, environ), *arguments.env]
    lists = {
        "environment": [escaped(each) for each in variables],
        "labels": [escaped(each) for each in arguments.label],
        "volumes": [escaped(each) for each in arguments.volume],
        "cap_add": arguments.cap_add,
        "cap_drop": arguments.cap_drop,
    }
    return found | {key: value for key, value in lists.items() if value}


def written(value: Any) -> str:
    """JSON, which is YAML, but for characters that YAML does not have."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)


def escaped(text: str) -> str:
    """The shell has filled in what was to be filled in."""
    return text.replace("$", "$$")


def from_files(files: list[str], environ: Mapping[str, str]) -> Iterator[str]:
    """NAME=VALUE of each file of variables. Raises UsageError."""
    from specs import errors as spec_errors
    from specs.files import surroundings

    for file in files:
        try:
            found = surroundings.read_env_file(file, environ)
        except spec_errors.SpecErrors as error:
            raise errors.UsageError(f"corral run: {error}") from error
        yield from (f"{name}={value}" for name, value in found.items())


def named_volume(text: str) -> str:
    """The name before the first colon, where it is one and no path."""
    name, colon, _ = text.partition(":")
    return name if colon and name and name[0] not in "./~" and "/" not in name else ""
