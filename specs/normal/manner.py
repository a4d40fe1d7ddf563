"""How much of it is wanted."""

from __future__ import annotations

from typing import NamedTuple


class Manner(NamedTuple):
    """What is left out of it: the flags of `config`."""

    interpolate: bool = True
    normalise: bool = True
    resolve_paths: bool = True
    check: bool = True
    resolve_environment: bool = True


WHOLE = Manner()
