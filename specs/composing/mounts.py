"""The short form of a mount: [SOURCE:]TARGET[:OPTION,…]. A source that begins with . / or ~ is a path, else a volume; without
one it is an anonymous volume."""

import posixpath
from typing import NamedTuple

from specs.patterns import pattern

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
SELINUX = ("z", "Z")
_LETTER = pattern(r"[^\W\d_]")
_DRIVE = pattern(r"[^\W\d_]:")
_IGNORED = ("consistent", "cached", "delegated")  # of Docker Desktop's file sharing


class Mount(NamedTuple):
    """A bind of a path, or a volume by its key. `ignored`: options that mean nothing, to Compose either."""

    type: str
    source: str
    target: str
    read_only: bool = False
    nocopy: bool = False
    propagation: str = ""
    selinux: str = ""
    ignored: tuple[str, ...] = ()


def parse(text: str, *, with_drives: bool = False) -> Mount:
    """The mount that the text describes. `with_drives`: as Compose reads it, to which a single letter is always a drive of
    Windows, and never a volume. Raises ValueError that says which part is wrong."""
    parts = _parts(text, "/\\" if with_drives else "\\")
    if "" in parts:
        raise ValueError(f"'{text}' has an empty part" if text else "is empty: write SOURCE:TARGET")
    if len(parts) == 1:
        return Mount("volume", "", clean(text))
    if len(parts) > 3:
        raise ValueError(f"'{text}' has too many colons")
    options = parts[2].split(",") if len(parts) == 3 else []
    unknown = [option for option in options if option not in ("ro", "rw", "nocopy", *PROPAGATIONS, *SELINUX, *_IGNORED)]
    propagation = next((option for option in reversed(options) if option in PROPAGATIONS), "")
    selinux = next((option for option in reversed(options) if option in SELINUX), "")
    is_read_only = next((option == "ro" for option in reversed(options) if option in ("ro", "rw")), False)
    kind = "bind" if is_path(parts[0]) else "volume"
    target = clean(parts[1])
    return Mount(kind, parts[0], target, is_read_only, "nocopy" in options, propagation, selinux, tuple(unknown))


def is_path(source: str) -> bool:
    """Whether the source of a short form is a path; a drive's of Windows, or a pipe's, is one too."""
    return source[:1] in ("/", ".", "~") or source.startswith("\\\\") or _DRIVE.match(source) is not None


def _parts(text: str, below: str) -> list[str]:
    """Between colons, but for that of a drive (compose-go format/volume.go); `below`: what may come after that."""
    parts: list[str] = []
    for part in text.split(":") if len(text) > 2 else [text]:
        if parts and _LETTER.fullmatch(parts[-1]) and part[:1] in below:
            parts[-1] += f":{part}"
        else:
            parts.append(part)
    return parts


def clean(target: str) -> str:
    """The path without . and .. and doubled slashes."""
    return posixpath.normpath("/" + target.lstrip("/")) if target.startswith("/") else target
