"""The short form of a mount: [SOURCE:]TARGET[:OPTION,…]. A source that begins with . / or ~ is a path, else a volume; without
one it is an anonymous volume."""

import posixpath
from typing import NamedTuple

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
SELINUX = ("z", "Z")
_IGNORED = ("consistent", "cached", "delegated")  # of Docker Desktop's file sharing


class Mount(NamedTuple):
    """A bind of a path, or a volume by its key."""

    type: str
    source: str
    target: str
    read_only: bool = False
    nocopy: bool = False
    propagation: str = ""
    selinux: str = ""


def parse(text: str) -> Mount:
    """The mount that the text describes. Raises ValueError that says which part is wrong."""
    parts = text.split(":")
    if "" in parts:
        raise ValueError(f"'{text}' has an empty part")
    if len(parts) == 1:
        return Mount("volume", "", clean(text))
    if len(parts) > 3:
        raise ValueError(f"'{text}' has too many colons")
    options = parts[2].split(",") if len(parts) == 3 else []
    for option in options:
        if option not in ("ro", "rw", "nocopy", *PROPAGATIONS, *SELINUX, *_IGNORED):
            raise ValueError(f"unknown mount option '{option}': ro, rw, nocopy, z or a propagation such as rslave")
    kind = "bind" if parts[0][0] in "./~" else "volume"
    if kind == "bind" and "nocopy" in options:
        raise ValueError("nocopy is for volumes, this is a path")
    propagation = next((option for option in options if option in PROPAGATIONS), "")
    if kind == "volume" and propagation:
        raise ValueError(f"{propagation} is for paths, this is a volume")
    selinux = next((option for option in options if option in SELINUX), "")
    return Mount(kind, parts[0], clean(parts[1]), "ro" in options, "nocopy" in options, propagation, selinux)


def clean(target: str) -> str:
    """The path without . and .. and doubled slashes."""
    return posixpath.normpath("/" + target.lstrip("/")) if target.startswith("/") else target
