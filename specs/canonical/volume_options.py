"""`driver_opts` of a volume: the options of Docker's driver local, `type`, `device` and `o`, as mount(8) has them.

Its words are moby's volume/local/local_unix.go: all of it goes to mount(2), and a bind is a bind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from specs.context import Context
from specs.errors import Path
from specs.node import Node

KNOWN = ("type", "device", "o")
TMPFS_KEYS = ("size", "mode", "uid", "gid", "nr_blocks", "nr_inodes", "huge", "mpol")  # tmpfs(5)
FLAGS = ("ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "nodiratime", "relatime", "sync")


class VolumeOptions(NamedTuple):
    """What is mounted for a volume; `type` "" is a directory of corral's own, "bind" one of the machine's. `options` are those
    of `o`, in its order."""

    type: str = ""
    device: str = ""
    options: tuple[str, ...] = ()


def canonical(node: Node, path: Path, context: Context) -> Node:
    """The options as text, without those that say nothing; the path of a bind is absolute."""
    fields = {key: child for key, child in node.mapping().items() if child.value not in (None, "")}
    for key in fields.keys() - set(KNOWN):
        hint = "a size is an option of `o`: size=100m" if key == "size" else ""
        message = f"the driver local has no option '{key}': {', '.join(KNOWN)}"
        context.findings.error(fields[key], (*path, key), message, hint)
    try:
        found = parse({key: str(fields[key].value) for key in KNOWN if key in fields})
    except ValueError as error:
        context.findings.error(node, path, str(error))
        return node.with_value(fields)
    if found.type == "bind":
        fields["device"] = fields["device"].with_value(context.absolute(found.device))
    return node.with_value(fields)


def parse(options: Mapping[str, str]) -> VolumeOptions:
    """Raises ValueError that says what is missing or wrong."""
    kind, device = options.get("type", ""), options.get("device", "")
    words = tuple(word.strip() for word in options.get("o", "").split(",") if word.strip())
    if not (kind or device or words):
        return VolumeOptions()
    if not device:
        raise ValueError("device is missing" + (": write device: tmpfs" if kind == "tmpfs" else ""))
    if "bind" in words or "rbind" in words:
        return VolumeOptions("bind", device, tuple(word for word in words if word not in ("bind", "rbind")))
    if kind in ("", "none", "bind"):
        raise ValueError("type is missing, or `o: bind` for a directory of this machine's")
    if kind == "tmpfs":
        _check_tmpfs(words)
    if kind.startswith("nfs") and not any(word.startswith("addr=") for word in words):
        raise ValueError("the server's address is missing: o: addr=192.0.2.1")
    return VolumeOptions(kind, device, words)


def _check_tmpfs(words: tuple[str, ...]) -> None:
    for word in words:
        key, equals, _ = word.partition("=")
        if not (key in TMPFS_KEYS and equals) and not (key in FLAGS and not equals):
            raise ValueError(f"a tmpfs has no option '{word}'")
