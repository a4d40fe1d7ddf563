"""How much memory all our containers together can have: the machine's, or the least limit of what theirs are below."""

import os
from collections.abc import Iterator

from engine.cgroups.layout import Layout


def memory_bytes(layout: Layout, machine_bytes: int) -> int:
    """`machine_bytes`: what the machine has."""
    return min([machine_bytes, *_limits(layout)])


def _limits(layout: Layout) -> Iterator[int]:
    if "memory" not in layout.v2_controllers:
        top, file = layout.v1_of("memory"), "memory.limit_in_bytes"
        places = [top] if top else []
    else:
        file, places = "memory.max", [layout.v2]
        for name in layout.parent.strip("/").split("/") if layout.parent.strip("/") else ():
            places.append(os.path.join(places[-1], name))
    for place in places:
        try:
            with open(os.path.join(place, file), encoding="ascii") as found:
                text = found.read().strip()
        except OSError:  # the top of the whole tree has no limit
            continue
        if text.isdecimal():
            yield int(text)
