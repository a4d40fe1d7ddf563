"""What a plain scalar of YAML means to Compose, and how Compose writes a value as text.

Compose reads YAML with Go's yaml.v3: 1.2's core schema, plus some of 1.1's numbers (0777 is octal), without its booleans
(yes, on) and its base 60 (22:22 is text).
"""

import re

from specs.node import Scalar, Timestamp
from specs.patterns import pattern

# go.yaml.in/yaml/v3 resolve.go
_CONSTANTS: dict[str, Scalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_FLOAT = pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INTEGERS = (
    (pattern(r"[-+]?(0|[1-9][0-9]*)", re.ASCII), 10),
    (pattern(r"[-+]?0[xX][0-9a-fA-F]+", re.ASCII), 16),
    (pattern(r"[-+]?0[bB][01]+", re.ASCII), 2),
    (pattern(r"[-+]?0[oO]?[0-7]+", re.ASCII), 8),
)
_TIMESTAMP = pattern(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)| (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d+)?)?",
    re.ASCII,
)
_DIGITS_MAX = 200
"""Of a whole number; a float has no more than 309."""
_NUMERIC_STARTS = frozenset("+-.0123456789")


def resolve(text: str) -> Scalar:
    """The value of a plain scalar without a tag."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC_STARTS:
        return text
    if _is_timestamp(text):
        return Timestamp(text)
    return _number(text.replace("_", ""), text)


def resolve_tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with a tag. Raises ValueError where they do not go together."""
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if kind == tag or kind not in ("int", "float", "bool", "null", "timestamp"):
        return text
    value = resolve(text)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected: type[object] = {"int": int, "float": float, "bool": bool, "null": type(None), "timestamp": Timestamp}[
        kind
    ]
    if type(value) is not expected:
        raise ValueError(f"'{text}' is not of type !!{kind}")
    return value


def as_text(value: Scalar) -> str:
    """The value as Compose writes it where text is wanted (Go's %v). None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Timestamp):
        return value.text
    return _float_text(value) if isinstance(value, float) else str(value)


def unwrapped(value: Scalar) -> str | int | float | bool | None:
    """The value; a date as the text it was written as."""
    return value.text if isinstance(value, Timestamp) else value


def kind_of(value: object) -> str:
    """The kind of a value, in words for an error."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, Timestamp):
        return "a date"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "text"


def _number(text: str, original: str) -> Scalar:
    for form, base in _INTEGERS if len(text) <= _DIGITS_MAX else ():
        if form.fullmatch(text):
            number = int(text, base) if base != 8 else _octal(text)
            return number if -(2**63) <= number < 2**64 else float(number)
    if _FLOAT.fullmatch(text):
        real = float(text)
        if abs(real) != float("inf"):
            return real
    return original


def _octal(text: str) -> int:
    digits = text.lstrip("+-").lower().replace("o", "")
    return -int(digits, 8) if text.startswith("-") else int(digits, 8)


def _is_timestamp(text: str) -> bool:
    if len(text) < 8 or text[4] != "-":
        return False
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return False
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    hour, minute, second = (int(a or b or 0) for a, b in zip(match.groups()[3:6], match.groups()[6:9], strict=True))
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 1 <= day <= (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _float_text(value: float) -> str:
    """Go's strconv.FormatFloat(value, 'g', -1, 64): the fewest digits, an exponent below 1e-4 and from 1e6."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if repr(value).startswith("-") else ""
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0").rstrip("0")
    if not digits:
        return f"{sign}0"
    point = len(whole) + int(exponent_text or 0) - (len(whole + fraction) - len((whole + fraction).lstrip("0")))
    exponent = point - 1
    if -4 <= exponent < 6:
        return sign + _positional(digits, point)
    tail = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _positional(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"
