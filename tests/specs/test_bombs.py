"""Whatever is in a file, the answer comes soon, and costs no more memory than a machine has to spare."""

import json
import pathlib
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as some

from specs import errors, loader
from specs.files import source
from specs.normal import document as normal
from tests import fuzzing, slowness
from tests.specs import bombs

SECONDS = 1.0 * slowness.FACTOR


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, str]]:
    """In a process of their own, with a bounded memory."""
    command = [sys.executable, "-m", "tests.specs.bombs", str(tmp_path_factory.mktemp("bombs"))]
    done = subprocess.run(command, cwd=pathlib.Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: (seconds, said) for name, seconds, said in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_clear_error_in_under_a_second(told: dict[str, tuple[float, str]], name: str) -> None:
    seconds, said = told[name]
    assert bombs.BOMBS[name][1] in said
    assert len(said.splitlines()[0]) < 1300
    assert seconds < SECONDS


UNITS = (
    *(
        "a: ",
        "- ",
        "? ",
        ": ",
        "[",
        "{",
        "&a ",
        "*a ",
        "<<: *a\n",
        "'",
        '"',
        "|\n",
        ">\n",
        "---\n",
        "!reset ",
        "# ",
        "\n",
        "\t",
    ),
    *(
        "$",
        "${A:-",
        "}",
        "${A}",
        "$$",
        "a: &a {b: c}\n",
        "  ",
        "x",
        "\\0",
        "\0",
        "1",
        "0x",
        "é",
        "services:\n",
        "  s: {image: x}\n",
    ),
    *("include: [b.yaml]\n", "extends: s\n", "ports: ['1-9000']\n", "~", "%", "@", "`", ",", "]"),
)
texts = some.lists(some.tuples(some.sampled_from(UNITS), some.sampled_from((1, 2, 50, 3000))), min_size=1, max_size=6)


def read(folder: pathlib.Path, text: str) -> tuple[errors.SpecError, ...]:
    (folder / "compose.yaml").write_text(text)
    try:
        normal.load(loader.LoadOptions(("compose.yaml",), "p", environment={}, cwd=str(folder)))
    except errors.SpecErrors as error:
        return error.errors
    return ()


QUICK = settings(fuzzing.effort(300), phases=[phase for phase in Phase if phase is not Phase.explain])
"""Explaining traces each line, which takes ten times as long."""


@QUICK
@given(pieces=texts)
def test_fuzz_anything_many_times(tmp_path: pathlib.Path, pieces: list[tuple[str, int]]) -> None:
    (tmp_path / "b.yaml").write_text("services: {b: {image: x}}")
    before = time.process_time()
    found = read(tmp_path, "".join(unit * count for unit, count in pieces))
    assert time.process_time() - before < SECONDS
    assert all(each.message and (each.line or "MiB at most" in each.message) for each in found)


values = some.recursive(
    some.sampled_from(
        ("$A", "${A:-${B:-x}}", "x" * 3000, "1-65535", "9" * 5000, "a\0b", "~", 10**30, -1, None, True, 0.5)
    ),
    lambda inner: some.one_of(
        some.lists(inner, max_size=4), some.dictionaries(some.sampled_from(("a", "b", "<<", "")), inner, max_size=4)
    ),
    max_leaves=8,
)
KEYS = (
    "image",
    "command",
    "ports",
    "expose",
    "scale",
    "environment",
    "env_file",
    "volumes",
    "extends",
    "depends_on",
    "mem_limit",
)


@QUICK
@given(fields=some.dictionaries(some.sampled_from(KEYS), values, max_size=4), count=some.sampled_from((1, 30, 300)))
def test_fuzz_services_of_anything_many_times(tmp_path: pathlib.Path, fields: dict[str, Any], count: int) -> None:
    document = {"services": {f"s{number}": {"image": "x", **fields} for number in range(count)}}
    before = time.process_time()
    found = read(tmp_path, json.dumps(document))
    assert time.process_time() - before < 3 * SECONDS
    assert all(each.message and (each.line or "MiB at most" in each.message) for each in found)


def test_aliases_of_ordinary_use_are_no_bomb() -> None:
    text = f"x: &x {{{', '.join(f'k{n}: v' for n in range(50))}}}\n" + "".join(f"y{n}: *x\n" for n in range(500))
    assert len(source.documents(text, "f")[0].mapping()) == 501


def test_what_has_no_end_is_not_read_to_it(folder: Any) -> None:
    assert (
        folder.complaint("", files=("/dev/zero",)) == "/dev/zero: a compose file has 4 MiB at most, this one has more"
    )
    assert "it has more than 1 MiB" in folder.complaint("services: {a: {image: host, env_file: /dev/zero}}")
