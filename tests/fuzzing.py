"""What the tests that make things up share: how long they try, and how one leaf of a valid thing is made another.

The same examples in every run. CORRAL_FUZZ=N (`make fuzz`) tries N times as many, others each time.
"""

import copy
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some

TIMES = int(os.environ.get("CORRAL_FUZZ", "1"))
QUIET = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)


def effort(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES, deadline=None, derandomize=TIMES == 1, suppress_health_check=QUIET, database=None
    )


TEXTS = (
    "",
    "..",
    "../../../etc/passwd",
    "/",
    "a/b",
    "a\0b",
    "a\nb",
    "\ud800",
    "x" * 300,
    "-",
    "*",
    "eth0",
    "10.0.0.0/33",
    "é",
)
NUMBERS = (-1, 0, 1, 2**31, 2**63, 10**30, -(10**30), 0.5, 1e300, float("inf"), float("nan"))
leaves: some.SearchStrategy[Any] = some.one_of(
    some.none(),
    some.booleans(),
    some.sampled_from(NUMBERS),
    some.sampled_from(TEXTS),
    some.text(max_size=6),
    some.integers(),
    some.just([]),
    some.just({}),
    some.just([[[]]]),
    some.just({"a": {"b": []}}),
)


def places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all that is in it, mappings and lists included."""
    if path:
        yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places_of(each, (*path, key))


def mutants(value: Any) -> some.SearchStrategy[Any]:
    """The value with something else in one place, without that place, or with one more."""
    places = sorted(places_of(value), key=repr)

    def changed(path: tuple[Any, ...], how: str, leaf: Any) -> Any:
        found = copy.deepcopy(value)
        inner = found
        for key in path[:-1]:
            inner = inner[key]
        if how == "without":
            del inner[path[-1]]
        elif how == "one more" and isinstance(inner, dict):
            inner["nobody knows this"] = leaf
        else:
            inner[path[-1]] = leaf
        return found

    return some.builds(
        changed, some.sampled_from(places), some.sampled_from(["other", "other", "without", "one more"]), leaves
    )
