"""The name that a project's files give it, without a YAML reader, where a look at their lines is enough to be certain.

Most commands need of the files nothing but that name, and the reader's imports are a third of such a command's time.
"""

import re
from collections.abc import Sequence

LINE = rb"(?:^|\r|\xc2\x85|\xe2\x80[\xa8\xa9])"
"""Where a line of YAML begins: after all that YAML takes for its end."""

MAY_SAY_A_NAME = re.compile(
    LINE + rb"""[ \t\xef\xbb\xbf]*(["']?name["']?\s*:|[{?&!%]|<<|---[ \t]*[^\s#])""", re.MULTILINE
)
"""What a file has that gives the project a name (or, perhaps, something else one): misses none."""

NOTHING = rb"[ \t]*(?:#[^\r\n\x80-\xff]*)?\r?\n"
SAYS_IT_FIRST = re.compile(
    rb"(?:" + NOTHING + rb")*name:[ \t]+([a-z][a-z0-9_-]*)(?=[ \t\r\n])(?:" + NOTHING + rb")+(?=[^ \t\r\n]|\Z)"
)
"""A name that nothing can be but one: the first of a mapping's keys, at the line's beginning, with nothing after it."""

MAY_SAY_ANOTHER = re.compile(LINE + rb"""(["']?name["']?\s*:|[{?&!%]|<<|---|\.\.\.)""", re.MULTILINE)
NOT_A_STRING = frozenset((b"null", b"true", b"false", b"yes", b"no", b"on", b"off", b"y", b"n"))


def of(files: Sequence[str]) -> str | None:
    """ "" where the files certainly give no name; None where they must be read to know."""
    saying = [content for content in map(_content, files) if content is None or MAY_SAY_A_NAME.search(content)]
    if not saying:
        return ""
    content = saying[0]
    if len(saying) > 1 or content is None:
        return None
    first = SAYS_IT_FIRST.match(content)
    if first is None or first[1] in NOT_A_STRING or MAY_SAY_ANOTHER.search(content, first.end()):
        return None
    return first[1].decode()


def _content(file: str) -> bytes | None:
    """None for one that cannot be read, or read twice."""
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError:
        return None
