"""YAML as Compose reads it, not as PyYAML does. What is expected here is what docker-compose config printed."""

import pytest

from specs import errors, node
from specs.files import source


def read(text: str) -> object:
    documents = source.documents(text, "f")
    assert len(documents) == 1
    return node.plain(documents[0])


def complaint(text: str) -> str:
    with pytest.raises(errors.SpecErrors) as caught:
        source.documents(text, "f")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("22:22", "22:22"),
        ("190:20:30", "190:20:30"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("NULL", None),
        ("'null'", "null"),
        ('"5"', "5"),
        ("0777", 511),
        ("0o777", 511),
        ("-0777", -511),
        ("089", 89.0),
        ("0b11", 3),
        ("0xff", 255),
        ("1_000", 1000),
        ("_1", "_1"),
        ("0x", "0x"),
        ("+5", 5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e400", "1e400"),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        (".inf", float("inf")),
        ("=", "="),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("!!float 3", 3.0),
        ("!own 5", "5"),
    ],
)
def test_a_scalar_means_what_it_means_to_compose(written: str, value: object) -> None:
    found = read(f"k: {written}\n")
    assert found == {"k": value}
    assert type(found["k"]) is type(value)  # type: ignore[index]


@pytest.mark.parametrize(
    "written", ["2024-01-01", "2024-1-1", "2001-12-14t21:59:43.10-05:00", "2024-01-01 10:00:00", "2024-02-29"]
)
def test_a_date_is_a_date(written: str) -> None:
    assert source.documents(f"k: {written}\n", "f")[0].mapping()["k"].value == node.Timestamp(written)


@pytest.mark.parametrize("written", ["2024-13-01", "2023-02-29", "2024-01-01 25:00:00", "24-01-01", "2024-01"])
def test_what_only_looks_like_a_date_is_text(written: str) -> None:
    assert read(f"k: {written}\n") == {"k": written}


def test_a_key_given_twice_is_an_error_that_names_both_places() -> None:
    assert complaint("a:\n  b: 1\n  c: 2\n  b: 3\n") == "f:4:3: a.b: the key 'b' is given twice, first at f:2:3"


def test_a_key_given_twice_is_noticed_through_quotes() -> None:
    assert complaint("a: 1\n'a': 2\n") == "f:2:1: a: the key 'a' is given twice, first at f:1:1"


def test_all_such_errors_come_at_once() -> None:
    assert complaint("a: 1\na: 2\nb: {1: x, true: y}\n").count("\n") == 2


@pytest.mark.parametrize(
    ("key", "kind"),
    [("1", "a number"), ("1.5", "a number"), ("true", "a boolean"), ("2024-01-01", "a date"), ("~", "empty")],
)
def test_a_key_must_be_text(key: str, kind: str) -> None:
    assert complaint(f"a:\n  {key}: x\n") == f"f:2:3: a: a key is text, '{key}' is {kind} (write \"{key}\")"


@pytest.mark.parametrize("key", ["yes", "on", "y", "'1'"])
def test_these_keys_are_text(key: str) -> None:
    assert read(f"{key}: x\n") == {key.strip("'"): "x"}


def test_a_list_is_no_key() -> None:
    assert complaint("? [a]\n: b\n") == "f:1:3: a key is text, this is a list"


def test_an_alias_is_what_its_anchor_is() -> None:
    assert read("a: &x {k: [1]}\nb: *x\n") == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_an_alias_is_placed_where_it_is_used_and_what_is_in_it_where_it_was_written() -> None:
    root = source.documents("a: &x\n  k: 1\nb: *x\n", "f")[0]
    assert node.place_of(root, ("b",)) == ("f", 3, 1)
    assert node.place_of(root, ("b", "k")) == ("f", 2, 3)


def test_an_anchor_may_be_given_again() -> None:
    assert read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_own_keys_win_over_merged_ones_and_the_first_source_over_the_second() -> None:
    merged = "a: &a {k: a, l: a}\nb: &b {k: b, m: b}\nc:\n  <<: [*a, *b]\n  l: own\n"
    assert read(merged)["c"] == {"k": "a", "l": "own", "m": "b"}  # type: ignore[index]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read("'<<': {a: 1}\n") == {"<<": {"a": 1}}


def test_only_mappings_can_be_merged() -> None:
    assert complaint("a:\n  <<: 5\n") == "f:2:3: a.<<: '<<' takes a mapping or a list of mappings"


def test_an_unknown_alias() -> None:
    assert complaint("a: *x\n") == "f:1:4: a: alias '*x' names no anchor above it"


def test_an_alias_inside_of_its_anchor() -> None:
    assert complaint("a: &x\n  b: *x\n") == "f:2:6: a.b: alias '*x' is inside of the anchor it names"


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 40):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    assert complaint(bomb) == "f:5:45: a4[7]: the aliases of this file expand to more than 100000 nodes"


def test_many_aliases_of_ordinary_use_are_no_bomb() -> None:
    text = "x: &x {a: 1, b: 2, c: [1, 2, 3]}\n" + "".join(f"s{i}: *x\n" for i in range(1000))
    assert len(read(text)) == 1001  # type: ignore[arg-type]


def test_a_file_nested_beyond_reason_is_refused() -> None:
    assert complaint("[" * 1000 + "]" * 1000).endswith("nested deeper than 200 levels")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\n\n"])
def test_a_file_without_documents(text: str) -> None:
    assert source.documents(text, "f") == []


def test_several_documents() -> None:
    assert [node.plain(document) for document in source.documents("a: 1\n---\nb: 2\n", "f")] == [{"a": 1}, {"b": 2}]


def test_anchors_end_with_their_document() -> None:
    assert complaint("a: &x 1\n---\nb: *x\n") == "f:2:4: b: alias '*x' names no anchor above it".replace("2:4", "3:4")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n  b: 1\n c: 2\n", "f:3:2: this is not YAML: did not find expected key"),
        (
            "a:\n\tb: 1\n",
            "f:2:1: this is not YAML: found character that cannot start any token (indent with spaces, not tabs)",
        ),
        ("a: @b\n", "f:1:4: this is not YAML: found character that cannot start any token"),
        ("a: b: c\n", "f:1:5: this is not YAML: mapping values are not allowed in this context"),
        ("a: 'x\n", "f:2:1: this is not YAML: found unexpected end of stream"),
        ("a: 1\nb: \x01\n", "f:2:4: this is not YAML: control characters are not allowed"),
        ("a: !!int x\n", "f:1:4: a: 'x' is not of type !!int"),
    ],
)
def test_what_is_no_yaml_says_where(text: str, expected: str) -> None:
    assert complaint(text) == expected


def test_pyyamls_own_parser_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x {k: 22:22, l: 0777}\nb:\n  <<: *x\n  m: [yes, 'no']\n"
    with_libyaml = list(node.places(source.documents(text, "f")[0]))
    monkeypatch.setitem(__import__("sys").modules, "yaml._yaml", None)
    assert list(node.places(source.documents(text, "f")[0])) == with_libyaml


def test_tags_are_kept() -> None:
    entries = source.documents("a: !reset null\nb: !override [1]\nc: 1\n", "f")[0].mapping()
    assert {key: child.tag for key, child in entries.items()} == {"a": "reset", "b": "override", "c": ""}
