"""The cheap look at a file's lines never says another name than the reader of the files."""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.command_line import written_name
from specs import errors, loader

SERVICES = "services: {web: {image: host}}\n"
BLOCK = "services:\n  web:\n    image: host\n"
PIECES = (
    "name: lab\n",
    "name: other\n",
    "name: yes\n",
    "name: null\n",
    "name:\n",
    "name: lab # a comment\n",
    "name: lab#no-comment\n",
    "name: 'quoted'\n",
    "name: ${X:-lab}\n",
    "name: lab\n  goes-on\n",
    "name: lab\n\n  goes-on\n",
    "name: lab\n# a comment\n",
    "  name: indented\n",
    '"name": quoted\n',
    "? name\n: asked\n",
    "# a comment\n",
    "\n",
    "---\n",
    "--- {name: flow}\n",
    "...\n",
    "x-text: |\n  name: no\n",
    'x-text: "\nname: no\n"\n',
    "networks:\n  a:\n    name: b\n",
    "<<: {name: merged}\n",
    "{name: flow, services: {web: {image: host}}}\n",
    "name: lab\r\n",
    "# a comment\rname: hidden\n",
    "# a comment\u2028name: hidden\n",
    "x-a: b\x85name: hidden\n",
    "\ufeff",
    SERVICES,
    BLOCK,
)


def read(folder: pathlib.Path, *texts: str) -> tuple[str | None, str | None]:
    """What the cheap look says of these files, and what the reader says (None: they are not valid)."""
    files = []
    for number, text in enumerate(texts):
        files.append(str(folder / f"{number}.yaml"))
        pathlib.Path(files[-1]).write_bytes(text.encode())
    options = loader.LoadOptions(files=tuple(files), project_directory=str(folder), any_image=True, environment={})
    try:
        name = loader.load(options).project_name
    except errors.SpecErrors:
        name = None
    return written_name.of(files), name


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=5).map("".join), min_size=1, max_size=2))
def test_it_says_what_the_reader_says_or_that_it_does_not_know(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("folder")
    said, name = read(folder, *texts)
    if name is not None and said is not None:
        assert said == name or (said == "" and name == folder.name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: lab\n" + BLOCK, "lab"),
        ("# hello\n\nname: lab  # ours\n" + BLOCK, "lab"),
        ("name: lab", None),
        (BLOCK, ""),
        (BLOCK + "name: lab\n", None),
        ("name: lab\n  more\n" + BLOCK, None),
        ("name: off\n" + BLOCK, None),
        ("\ufeffname: lab\n" + BLOCK, None),
        ("\ufeffname: lab\n  more\n" + BLOCK, None),
    ],
)
def test_what_it_knows(tmp_path: pathlib.Path, text: str, said: str | None) -> None:
    assert read(tmp_path, text)[0] == said
    assert read(tmp_path, BLOCK, text)[0] == said
