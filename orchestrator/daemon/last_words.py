"""The last words of a container: what it wrote before it failed, for who is told that it did."""

from engine.errors import EngineError
from engine.logs.reading import Reader

LINES = 20
CHARACTERS = 500
"""Of a line."""


def of(log: str, since: float) -> tuple[str, ...]:
    """The last lines that a run wrote which began at `since`; (): none, or nobody keeps them."""
    if not log:
        return ()
    try:
        reader = Reader(log, tail=LINES, since=since)
    except (OSError, EngineError):
        return ()
    try:
        return tuple(_lines(reader))[-LINES:]
    finally:
        reader.close()


def _lines(reader: Reader) -> list[str]:
    lines, part = [], ""
    while records := reader.read():
        for record in records:
            part = (part + record.text.decode(errors="replace").expandtabs())[:CHARACTERS]
            if record.is_end:
                lines.append(part)
                part = ""
    return [*lines, part] if part else lines
