"""What an image is to a container: layers, and defaults for what its spec leaves open."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """An overlay of a container's file system: its `lowers`, topmost first, appear at `target` ("/": the root)."""

    target: str
    lowers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a container runs where its Config says None."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ("/bin/sh",)
    environment: tuple[tuple[str, str], ...] = ()
    working_dir: str = "/"
    user: str = ""
