"""The keys of a compose file as paths: `services.ports.target`. Names of the user's choice and list items are left out."""

from collections.abc import Iterator

from specs.keys.document import DOCUMENT
from specs.keys.shapes import Either, Entries, Items, Keys, Shape


def known() -> tuple[str, ...]:
    """Every key that there is, in the order of specs.keys."""
    return tuple(dict.fromkeys(_walk(DOCUMENT, "")))


def _walk(shape: Shape, path: str) -> Iterator[str]:
    match shape:
        case Keys(known):
            for name, below in known.items():
                yield _join(path, name)
                yield from _walk(below, _join(path, name))
        case Items(item):
            yield from _walk(item, path)
        case Entries(value):
            yield from _walk(value, path)
        case Either(options):
            for option in options:
                yield from _walk(option, path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
