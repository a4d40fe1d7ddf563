from collections.abc import Mapping
from typing import Any

import pytest

from specs.files import dotenv

OUTER = {"HOME": "/home/me", "SHELL_WINS": "shell"}


def parse(text: str, outer: Mapping[str, str] = OUTER) -> dict[str, str]:
    return dotenv.parse(text, outer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("# comment\n\n  A=1\n", {"A": "1"}),
        ("A=a b # comment\n", {"A": "a b"}),
        ("A=a#b\n", {"A": "a#b"}),
        ("A=\nB=2\n", {"A": "", "B": "2"}),
        ("A: yaml\n", {"A": "yaml"}),
        ("A = spaced \n", {"A": "spaced"}),
        ("export A=1\nexported=2\n", {"A": "1", "exported": "2"}),
        ("M.x-y[0]=3\n", {"M.x-y[0]": "3"}),
        ("1x=5\n", {"1x": "5"}),
        ("A='$HOME \\n # x'\n", {"A": "$HOME \\n # x"}),
        ("A='it\\'s'\n", {"A": "it's"}),
        ('A="x\\ty\\n" # comment\nB=1\n', {"A": "x\ty\n", "B": "1"}),
        ('A="a\\$b $$c"\n', {"A": "a$b $c"}),
        ('A="\\\\t \\"q\\""\n', {"A": '\\t "q"'}),
        ('A="several\nlines"\nB=1\n', {"A": "several\nlines", "B": "1"}),
        ("A=$HOME/x\n", {"A": "/home/me/x"}),
        ("A=1\nB=${A}2\n", {"A": "1", "B": "12"}),
        ('A="${NO:-default}"\n', {"A": "default"}),
        ("SHELL_WINS=file\nB=$SHELL_WINS\n", {"SHELL_WINS": "file", "B": "shell"}),
        ("HOME\nUNKNOWN\nA=1\n", {"HOME": "/home/me", "A": "1"}),
        ("HOME", {"HOME": "/home/me"}),
    ],
)
def test_the_grammar(text: str, expected: dict[str, str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("A=1\nB C=2\n", 2, "a variable's name has no spaces, 'B C' has"),
        ("\n\nA!=1\n", 3, "'!' cannot be in a variable's name, in 'A!'"),
        ('A=1\nB="x\n\n', 2, 'the value that begins with " has no end'),
        ("A=${\n", 1, "'${' has a '${' that begins no variable; write $$ for a dollar sign"),
        ("A=1\nB=${X:?why}\n", 2, "required variable X is missing a value: why"),
    ],
)
def test_what_cannot_be_read_says_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(dotenv.DotenvError) as caught:
        parse(text)
    assert (caught.value.line, str(caught.value)) == (line, message)


def test_the_raw_format_takes_everything_as_it_is() -> None:
    text = "A='$HOME' # no comment\n# comment\n\nB=\nHOME\nNONE\n"
    assert dotenv.parse_raw(text, OUTER) == {"A": "'$HOME' # no comment", "B": "", "HOME": "/home/me"}


def test_a_variable_without_a_name_is_compose_s_and_no_container_s(folder: Any) -> None:
    assert dotenv.parse("=1\n", {}) == {"": "1"}
    for fields in ("environment: ['=1']", "env_file: e"):
        folder.write({"e": "=1\n"})
        said = folder.complaint(f"services: {{a: {{image: host, {fields}}}}}")
        assert "services.a.environment: a variable has no name" in said
