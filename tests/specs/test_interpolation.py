import pytest

from specs.files import interpolation

VARIABLES = {"SET": "value", "EMPTY": "", "OTHER": "o"}


def substitute(text: str) -> tuple[str, list[str]]:
    unset: list[str] = []
    return interpolation.substitute(text, VARIABLES, unset.append), unset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("a${SET}b", "avalueb"),
        ("$SET-x", "value-x"),
        ("$SET.y/$OTHER", "value.y/o"),
        ("${EMPTY}", ""),
        # :- and -
        ("${UNSET:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${SET:-d}", "value"),
        ("${UNSET-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET-a:-b}", "a:-b"),
        # :+ and +
        ("${UNSET:+alt}", ""),
        ("${EMPTY:+alt}", ""),
        ("${SET:+alt}", "alt"),
        ("${UNSET+alt}", ""),
        ("${EMPTY+alt}", "alt"),
        # :? and ?
        ("${SET:?why}", "value"),
        ("${EMPTY?why}", ""),
        # nested
        ("${UNSET:-${OTHER}}", "o"),
        ("${UNSET:-${UNSET:-x}}y", "xy"),
        ("${UNSET:-$SET-$OTHER}", "value-o"),
        ("${SET:+${OTHER}}${UNSET:-z}", "oz"),
        # a branch that is not taken is not looked at
        ("${SET:-${UNSET:?why}}", "value"),
        ("${UNSET:+${UNSET:?why}}", ""),
        # braces in the right side
        ('${UNSET:-{"x": 1}}y', '{"x": 1}y'),
        ("${UNSET:-{}", "{"),
        ("${UNSET:-{}}", "{}"),
        # dollars that are none of a variable
        ("$$SET", "$SET"),
        ("$$$SET", "$value"),
        ("$${SET}", "${SET}"),
        ("$5 $ $.", "$5 $ $."),
        ("a$", "a$"),
    ],
)
def test_the_forms(text: str, expected: str) -> None:
    assert substitute(text) == (expected, [])


def test_a_variable_without_value_or_default_is_told_about() -> None:
    assert substitute("a${UNSET}b$ALSO") == ("ab", ["UNSET", "ALSO"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${UNSET:?}", "required variable UNSET is missing a value"),
        ("${UNSET?give one}", "required variable UNSET is missing a value: give one"),
        ("${EMPTY:?not $OTHER}", "required variable EMPTY is missing a value: not o"),
    ],
)
def test_a_required_variable(text: str, expected: str) -> None:
    with pytest.raises(interpolation.InterpolationError, match=f"^{expected}$".replace("?", r"\?")):
        substitute(text)


@pytest.mark.parametrize(
    "text", ["${", "${}", "${ }", "${ SET}", "${SET!}", "${5}", "${SET", "${SET/a/b}", "${U:-a\nb}"]
)
def test_what_begins_no_variable(text: str) -> None:
    with pytest.raises(interpolation.InterpolationError, match="begins no variable"):
        substitute(text)
