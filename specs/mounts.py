"""The short form of a mount: SOURCE:TARGET[:OPTION,…]. A source that begins with . / or ~ is a path, else a volume."""

import posixpath
from typing import NamedTuple

_LATER = ("z", "Z", "private", "rprivate", "shared", "rshared", "slave", "rslave")


class Mount(NamedTuple):
    """A bind of a path, or a volume by its key."""

    type: str
    source: str
    target: str
    read_only: bool = False
    nocopy: bool = False


def parse(text: str) -> Mount:
    """The mount that the text describes. Raises ValueError that says which part is wrong."""
    parts = text.split(":")
    if "" in parts:
        raise ValueError(f"'{text}' has an empty part")
    if len(parts) == 1:
        raise ValueError("anonymous volumes are not supported yet: write NAME:/path, and NAME below the top's volumes")
    if len(parts) > 3:
        raise ValueError(f"'{text}' has too many colons")
    options = parts[2].split(",") if len(parts) == 3 else []
    for option in options:
        if option in _LATER:
            raise ValueError(f"the mount option '{option}' is not supported yet")
        if option not in ("ro", "rw", "nocopy"):
            raise ValueError(f"unknown mount option '{option}': ro, rw or nocopy")
    kind = "bind" if parts[0][0] in "./~" else "volume"
    if kind == "bind" and "nocopy" in options:
        raise ValueError("nocopy is for volumes, this is a path")
    return Mount(kind, parts[0], clean(parts[1]), "ro" in options, "nocopy" in options)


def clean(target: str) -> str:
    """The path without . and .. and doubled slashes."""
    return posixpath.normpath("/" + target.lstrip("/")) if target.startswith("/") else target
