"""The paths of this machine that a spec mounts, looked up with the rights of whoever runs the command.

The daemon is root and would mount anything. So the command looks first, as the person it works for: what that person may not
read is refused, and a folder that is missing is made by that person, and so belongs to them.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from specs import errors
from specs.model import bodies

Path = tuple[str | int, ...]


def refusals(canonical: Mapping[str, Any], *, make: bool) -> list[errors.SpecError]:
    """What is wrong with the sources of all binds, with their paths in the document. `make`: make missing folders where the spec
    lets us."""
    return [
        errors.SpecError(path=path, message=f"cannot mount {source}: {why}")
        for path, source, may_make in sources(canonical)
        if (why := _why_not(source, make=make and may_make, may_be_missing=may_make))
    ]


def sources(canonical: Mapping[str, Any]) -> Iterator[tuple[Path, str, bool]]:
    """(path in the document, source, whether it may be made) of each bind, and of what volumes are made of."""
    for path, said in bodies.of_document(canonical):
        for index, volume in enumerate(said.get("volumes", ())):
            if volume.get("type") == "bind":
                may_make = bool(volume.get("bind", {}).get("create_host_path"))
                yield (*path, "volumes", index), volume["source"], may_make
    for name, said in canonical.get("volumes", {}).items():
        options = said.get("driver_opts", {})
        if options.get("device", "").startswith("/"):
            yield ("volumes", name, "driver_opts", "device"), options["device"], False


def _why_not(source: str, *, make: bool, may_be_missing: bool) -> str:
    try:
        if make:
            _make(source)
        os.stat(source)
    except FileNotFoundError:
        return "" if may_be_missing and not make else "there is no such file or directory"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if os.access(source, os.R_OK, effective_ids=True) else "you may not read it"


def _make(source: str) -> None:
    if not os.path.lexists(source):
        os.makedirs(source, exist_ok=True)
