"""How a demo speaks: a step, what is seen, and what holds. What does not hold ends it."""

import sys
import time
from collections.abc import Callable
from typing import Any

began = time.monotonic()


class Failed(Exception):
    """Something that must be true is not."""


def step(title: str) -> None:
    _say(f"\n[{time.monotonic() - began:5.1f} s] {title}\n")


def show(text: str) -> None:
    _say("".join(f"      {line}\n" for line in text.rstrip().splitlines()))


def prove(true: Any, what: str) -> None:
    """Say that `what` holds; if it does not, that is the end of the demo."""
    if not true:
        raise Failed(what)
    _say(f"   ok {what}\n")


def eventually(check: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """Ask until the answer is true, and give it."""
    deadline = time.monotonic() + timeout_s
    while not (answer := check()):
        if time.monotonic() > deadline:
            raise Failed(f"{what} (waited {timeout_s:.0f} s)")
        time.sleep(0.05)
    return answer


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
