import pytest

from specs import units
from specs.composing import commands
from specs.normal import render


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5s", 5),
        ("1m30s", 90),
        ("1h5m30s20ms", 3930.02),
        ("500ms", 0.5),
        ("10us", 1e-5),
        ("1d2h", 93600),
        ("1.5h", 5400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds
    assert units.parse_duration(render.duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "10", "10x", "5s!", "s", "-5s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 1m30s"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (512, 512),
        ("512", 512),
        ("1k", 1024),
        ("1kb", 1024),
        ("64M", 64 << 20),
        ("1.5g", 1610612736),
        ("1gib", 1 << 30),
        ("2 T", 2 << 40),
    ],
)
def test_sizes(text: str | int, number: int) -> None:
    assert units.parse_bytes(text) == number


@pytest.mark.parametrize("text", ["", "5x", "-1", "1.5.5", "m"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 512m"):
        units.parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        ("", [], ""),
        ("sleep  1000", ["sleep", "1000"], ""),
        ("echo 'a b' \"c d\" e\\ f", ["echo", "a b", "c d", "e f"], ""),
        ("echo '' \"\"", ["echo", "", ""], ""),
        ("a'b'\"c\"", ["abc"], ""),
        ('echo \'\\n\' "\\""', ["echo", "\\n", '"'], ""),
        ("echo `x y` $(ls -l)", ["echo", "`x y`", "$(ls -l)"], ""),
        ("echo a; echo b", ["echo", "a"], "; echo b"),
        ("a && b", ["a"], "&& b"),
        ("a 'b;c'", ["a", "b;c"], ""),
    ],
)
def test_a_command_is_split_as_compose_does(text: str, words: list[str], left: str) -> None:
    assert commands.split(text) == (words, left)


@pytest.mark.parametrize("text", ["echo 'a", 'echo "a', "echo \\", "(a)", "echo `a"])
def test_a_command_that_cannot_be_split(text: str) -> None:
    with pytest.raises(ValueError, match=r"quote|shell"):
        commands.split(text)
