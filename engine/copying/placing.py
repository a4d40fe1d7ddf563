"""Where what is copied goes: the rules of `docker cp`, the same in both directions. Pure.

A path that ends in "/." means what is in the directory, one that ends in "/" the directory itself. The names in a tar stream
begin with the source's last component; where the copy is called otherwise, that component is replaced.
"""

from enum import Enum

from engine import errors


class Where(Enum):
    INTO = "into the directory that is there"
    AS = "as an entry of this name"


def asserts_directory(path: str) -> bool:
    """Whether the path can only mean a directory."""
    return path.endswith("/") or path.rpartition("/")[2] == "."


def base_of(path: str) -> str:
    """What the names in a tar stream of this source begin with: its last component; "." for what is in it."""
    if path.rpartition("/")[2] == ".":
        return "."
    return path.rstrip("/").rpartition("/")[2] or "."


def place(path: str, *, exists: bool, is_directory: bool, from_directory: bool) -> Where:
    """Where a copy to `path` goes. Raises `EngineError`."""
    if exists and is_directory:
        return Where.INTO
    if exists and from_directory:
        raise errors.EngineError(f"cannot copy a directory to {path}: it is a file")
    if exists and asserts_directory(path):
        raise errors.EngineError(f"cannot copy to {path}: it is no directory")
    if not exists and not from_directory and asserts_directory(path):
        raise errors.EngineError(f"cannot copy a file to {path}: there is no such directory")
    return Where.AS
