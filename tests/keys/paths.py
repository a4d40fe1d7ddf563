"""The keys of a compose file as paths: `services.ports.target`. Names of the user's choice and list items are left out."""

from collections.abc import Iterator

from specs import keys
from specs.shapes import Either, Entries, Items, Keys, Shape


def known() -> tuple[str, ...]:
    """Every key that is understood, in the order of specs.keys."""
    return tuple(dict.fromkeys(path for path, is_known in _walk(keys.DOCUMENT, "") if is_known))


def later() -> tuple[str, ...]:
    """Every key of the specification that is refused by its name."""
    return tuple(sorted({path for path, is_known in _walk(keys.DOCUMENT, "") if not is_known} - set(known())))


def _walk(shape: Shape, path: str) -> Iterator[tuple[str, bool]]:
    match shape:
        case Keys(known, later):
            for name, below in known.items():
                yield _join(path, name), True
                yield from _walk(below, _join(path, name))
            for name in later:
                yield _join(path, name), False
        case Items(item):
            yield from _walk(item, path)
        case Entries(value):
            yield from _walk(value, path)
        case Either(options):
            for option in options:
                yield from _walk(option, path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
