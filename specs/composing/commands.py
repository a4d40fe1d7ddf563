"""A command written as text, split into words as mattn/go-shellwords does: quotes and backslashes, but no shell.

`…` and $(…) are kept as they are, in one word. An unquoted ; | & < or > ends the command.
"""

_ENDS = ";|&<>"


def split(text: str) -> tuple[list[str], str]:
    """The words, and what is left: everything from the first unquoted shell operator on. Raises ValueError."""
    splitter = _Splitter()
    for position, character in enumerate(text):
        if character in _ENDS and not splitter.quote and not splitter.is_escaped:
            return splitter.end(text), text[position:]
        splitter.feed(character, text)
    return splitter.end(text), ""


class _Splitter:
    """`quote` is what ends the quoted part that is being read, "" outside of one."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.is_word = False
        self.is_escaped = False
        self.quote = ""

    def feed(self, character: str, text: str) -> None:
        if self.is_escaped:
            self.is_escaped = False
            self.append(character)
        elif character == "\\" and self.quote != "'":
            self.is_escaped = True
        elif self.quote:
            self.feed_quoted(character)
        elif character in " \t\r\n":
            self.end_word()
        elif character in "'\"":
            self.quote, self.is_word = character, True
        elif character == ")" or (character == "(" and not self.word.endswith("$")):
            raise ValueError(f"'{text}' has a '{character}' that only a shell understands")
        else:
            self.quote = {"`": "`", "(": ")"}.get(character, "")
            self.append(character)

    def feed_quoted(self, character: str) -> None:
        if character == self.quote:
            self.quote = ""
            if character in "'\"":
                return
        self.append(character)

    def append(self, character: str) -> None:
        self.word += character
        self.is_word = True

    def end_word(self) -> None:
        if self.is_word:
            self.words.append(self.word)
        self.word, self.is_word = "", False

    def end(self, text: str) -> list[str]:
        if self.quote or self.is_escaped:
            raise ValueError(f"'{text}' ends inside of a quote")
        self.end_word()
        return self.words
