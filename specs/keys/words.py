"""The simple shapes that the tables of keys are made of, and what a word of the specification must be like."""

from collections.abc import Callable

from specs import patterns
from specs.keys.shapes import INTEGER, TEXT, TEXTS, Either, Items, Single, to_integer
from specs.node import Scalar

NAME = patterns.pattern(r"[a-zA-Z0-9._-]+")  # patternProperties of services, networks and volumes


def one_of(*words: str) -> Callable[[Scalar], None]:
    """Of these only."""

    def check(value: Scalar) -> None:
        if value not in words:
            raise ValueError(f"'{value}' is not one of {', '.join(words)}")

    return check


def like(pattern: str, words: str) -> Callable[[Scalar], None]:
    """What the schema's pattern is somewhere in."""

    somewhere = patterns.pattern(pattern)

    def check(value: Scalar) -> None:
        if not somewhere.search(str(value)):
            raise ValueError(f"'{value}' is not {words}")

    return check


def is_text(value: Scalar) -> None:
    """What may also be a number for us."""
    if not isinstance(value, str):
        raise ValueError(f'must be text: write "{value}"')


def not_blank(value: Scalar) -> None:
    if value == "":
        raise ValueError("is empty: give it a value")


def between(least: int, most: int) -> Callable[[Scalar], None]:
    def check(value: Scalar) -> None:
        if isinstance(value, int) and not least <= value <= most:
            raise ValueError(f"{value} is not between {least} and {most}")

    return check


INTEGER_OR_TEXT = Single("a whole number or text", (int, str))
COMMAND = Either((TEXT, TEXTS), can_be_null=True)
NULLABLE_TEXT = TEXT._replace(can_be_null=True)
ONE_EACH = Items(TEXT, unique=True)
TEXT_OR_EACH = Either((TEXT, ONE_EACH))
WHOLE = Single("a whole number", (int, float), to_integer)
NUMBER_OR_TEXT = Single("a number or text", (int, float, str))
COUNT = INTEGER._replace(check=between(0, 2**63))
TRUTH = Single("a boolean", (bool,))
"""One that is no text, even where a variable was filled in."""
