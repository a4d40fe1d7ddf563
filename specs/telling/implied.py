"""Why something is in a project's normal form that no file says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from specs.errors import Path
from specs.node import Node

Pattern = tuple[str, ...]
_ANY = "*"


def why(path: Path, root: Node) -> str:
    """In words."""
    for pattern, words in _WHY:
        if len(pattern) == len(path) and all(want in (_ANY, part) for want, part in zip(pattern, path, strict=True)):
            return words(path, root) if callable(words) else words
    return "it follows from the rest"


def _dependency(path: Path, root: Node) -> str:
    """A service is needed for what other keys say of it."""
    service = root.get("services", str(path[1]))
    keys = [*_naming(service, str(path[3]))] if service is not None else []
    return f"{' and '.join(keys)} of the service say so" if keys else "what it is unless said otherwise"


def _naming(service: Node, other: str) -> Iterator[str]:
    for key in ("links", "volumes_from"):
        said = service.get(key)
        if any(str(item.value).partition(":")[0] == other for item in (said.sequence() if said is not None else ())):
            yield key
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        said = service.get(key)
        if said is not None and said.value == f"service:{other}":
            yield key


_NAME = "the project's name and the key, where no name is given"
_SHORT = "what the short form means"
_WHY: tuple[tuple[Pattern, str | Callable[[Path, Node], str]], ...] = (
    *(((section, _ANY, "name"), _NAME) for section in ("networks", "volumes", "configs", "secrets")),
    (("networks", "default", "ipam"), "services that name no network are in the default one"),
    (("networks", _ANY, "ipam"), "corral chooses a subnet, and keeps to it"),
    (("services", _ANY, "networks", "default"), "a service that names no network is in the default one"),
    (("services", _ANY, "command"), "the image's own"),
    (("services", _ANY, "entrypoint"), "the image's own"),
    *((("services", _ANY, "depends_on", _ANY, key), _dependency) for key in ("condition", "required", "restart")),
    *((("services", _ANY, "ports", _ANY, key), _SHORT) for key in ("mode", "protocol")),
    (("services", _ANY, "secrets", _ANY, "target"), "/run/secrets/NAME unless said otherwise"),
    *((("services", _ANY, "deploy", key), "printed with every deploy") for key in ("resources", "placement")),
    (("services", _ANY, "build", "context"), "the project's directory"),
    (("services", _ANY, "build", "dockerfile"), "what it is called unless said otherwise"),
    (("services", _ANY, "volumes", _ANY, "bind", "create_host_path"), "true unless said otherwise"),
)
