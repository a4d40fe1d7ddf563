"""Files of variables: `.env`, `--env-file`, `env_file`. The grammar is that of compose-go's dotenv/parser.go.

NAME=value, NAME: value, NAME (inherited), `export NAME=…`; # comments; unquoted and "double quoted" values have variables
and, in double quotes, escapes; 'single quoted' ones are literal; quoted ones may span lines.
"""

import collections
import re
from collections.abc import Mapping

from specs.files import interpolation
from specs.patterns import pattern

_EXPORT = pattern(r"export\s+")
_NAME = pattern(r"[^=:\n]*")
_NAME_BAD = pattern(r"[^\w\s.\-\[\]]")
_SPACES = " \t\v\f\r\x85\xa0"
_ESCAPE = pattern(r"\\([abcfnrtv$\"\\]|0\d{0,3})")
LONGEST = 32 * 4096  # linux/binfmts.h MAX_ARG_STRLEN
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}


class DotenvError(ValueError):
    """A line that cannot be read; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse(text: str, outer: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file. `outer` is where its values look first, then above in the file. Raises DotenvError."""
    reader = _Reader(text.removeprefix("\ufeff"), outer)
    while reader.statement():
        pass
    return reader.variables


def parse_raw(text: str, outer: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file of format `raw`: everything after the first = is the value. Raises DotenvError."""
    variables: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name or re.search(r"\s", name):
            raise DotenvError(number, f"'{name}' is not a variable's name")
        if equals:
            variables[name] = value
        elif name in outer:
            variables[name] = outer[name]
    return variables


def lines(text: str) -> dict[str, int]:
    """The line of each variable that the text gives a value. What cannot be read ends it."""
    reader = _Reader(text.removeprefix("\ufeff"), {})
    try:
        while reader.statement():
            pass
    except DotenvError:
        pass
    return {name: reader.text.count("\n", 0, start) + 1 for name, start in reader.starts.items()}


class _Reader:
    """`position` is what was read of `text`; `starts`: where variables begin."""

    def __init__(self, text: str, outer: Mapping[str, str]) -> None:
        self.text = text
        self.outer = outer
        self.position = 0
        self.variables: dict[str, str] = {}
        self.known = collections.ChainMap(dict(outer), self.variables)
        self.starts: dict[str, int] = {}

    def statement(self) -> bool:
        """Read one; False at the end."""
        self.skip_blank()
        if self.position >= len(self.text):
            return False
        start = self.position
        name, inherited = self.name()
        if not inherited:
            self.starts[name] = start
            self.variables[name] = self.value()
        elif name in self.outer:
            self.variables[name] = self.outer[name]
        return True

    def skip_blank(self) -> None:
        while self.position < len(self.text):
            if self.text[self.position] == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            elif self.text[self.position].isspace():
                self.position += 1
            else:
                return

    def name(self) -> tuple[str, bool]:
        """A variable's name, and whether it has no value here. Afterwards the position is before the value."""
        if export := _EXPORT.match(self.text, self.position):
            self.position = export.end()
        match = _NAME.match(self.text, self.position)
        assert match is not None
        name = match[0]
        if bad := _NAME_BAD.search(name):
            raise self.error(f"'{bad[0]}' cannot be in a variable's name, in '{name}'")
        name = name.rstrip()
        if " " in name:
            raise self.error(f"a variable's name has no spaces, '{name}' has")
        self.position = match.end()
        inherited = self.text[self.position : self.position + 1] in ("", "\n")
        self.position += 1
        while not inherited and self.text[self.position : self.position + 1] in tuple(_SPACES):
            self.position += 1
        return name, inherited

    def value(self) -> str:
        quote = self.text[self.position : self.position + 1]
        if quote in ("'", '"'):
            return self.quoted(quote)
        end = self.text.find("\n", self.position)
        end = len(self.text) if end < 0 else end
        value = self.text[self.position : end].partition(" #")[0].rstrip()
        value = self.expand(value)
        self.position = end
        return value

    def quoted(self, quote: str) -> str:
        characters: list[str] = []
        position = self.position + 1
        while position < len(self.text):
            character = self.text[position]
            if character == quote:
                value = "".join(characters)
                value = self.expand(_ESCAPE.sub(_unescaped, value)) if quote == '"' else value
                self.position = position + 1
                return value
            if character == "\\" and position + 1 < len(self.text):
                position += 1
                escaped = self.text[position]
                characters.append(escaped if escaped == quote else f"\\{escaped}")
            else:
                characters.append(character)
            position += 1
        raise self.error(f"the value that begins with {quote} has no end")

    def expand(self, value: str) -> str:
        if "\0" in value:
            raise self.error("a value has a NUL character, which no variable can have")
        try:
            found = interpolation.substitute(value, self.known, lambda name: None)
            if len(found) > LONGEST:
                raise self.error(f"with its variables it is longer than {LONGEST >> 10} KiB, which no program is given")
            return found
        except interpolation.InterpolationError as error:
            raise self.error(str(error)) from error

    def error(self, message: str) -> DotenvError:
        return DotenvError(self.text.count("\n", 0, self.position) + 1, message)


def _unescaped(match: re.Match[str]) -> str:
    what = match[1]
    if what == "$":
        return "$$"  # the expansion that follows makes a literal dollar of it
    if what.startswith("0"):
        code = int(what[1:] or "0", 8) if set(what[1:]) <= set("01234567") and len(what) == 4 else -1
        return chr(code) if 0 <= code < 256 else match[0]
    return _ESCAPES.get(what, match[0])
