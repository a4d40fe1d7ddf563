"""The commands and flags that the real docker compose has, by its own help."""

import functools
import re
import subprocess

from tests.conformance import oracle

FLAG = re.compile(r"^ {2,6}(?:(-\w), )?(--[\w-]+)", re.MULTILINE)
COMMAND = re.compile(r"^  (\w+) {2,}\S", re.MULTILINE)


@functools.cache
def said(command: str = "") -> str:
    """The help of a command; "": of docker compose itself."""
    words = ["nice", "-n", "10", str(oracle.program()), *([command] if command else []), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True, env=oracle.ENVIRONMENT, timeout=60).stdout


def commands() -> list[str]:
    return COMMAND.findall(said())


def flags(command: str = "") -> set[str]:
    return {flag for pair in FLAG.findall(said(command)) for flag in pair if flag}
