"""What docs/labs.md, and each lab's README.md and compose.yaml, tell their reader to type is accepted by corral, of a service that is
there."""

import functools
import io
import json
import re
import shlex
from collections.abc import Iterator

import pytest

from orchestrator.command_line import cli, labs

EVERY_LAB = pytest.mark.parametrize("name", sorted(labs.all_of_them()))
ENDS = {"|", "||", "&", "&&", ";"}
"""Of a command, in a line of a shell's."""


def page_of(name: str) -> str:
    """The lab's part of docs/labs.md; what comes before all labs is the first one's."""
    parts = re.split(r"(?m)^## (.*)$", (labs.HOME.parents[1] / "docs/labs.md").read_text())
    pages = dict(zip(parts[1::2], parts[2::2], strict=True))
    own = next(text for title, text in pages.items() if title.lower().replace(" ", "-") == name)
    return own + (parts[0] if name == "hadoop" else "")


def lines_of(text: str) -> Iterator[str]:
    """Lines of a shell's: indented ones, which a backslash makes longer, and between backticks."""
    yield from re.findall(r"(?m)^(?:#     |    )(.*)$", re.sub(r"\\\n *", "", text))
    yield from re.findall(r"(?<!`)`(corral [^`]*)`", text)


def commands_in(line: str) -> Iterator[tuple[list[str], str]]:
    """What is given to corral, with the word that ends it; without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    words = [*lexer, ";"]
    while words:
        end = next(at for at, word in enumerate(words) if word in ENDS)
        if words[:1] == ["corral"]:
            yield words[1:end], words[end]
        words = words[end + 1 :]


def written(name: str) -> list[tuple[list[str], str]]:
    files = [(labs.HOME / name / file).read_text() for file in ("README.md", "compose.yaml")]
    texts = (page_of(name), *files)
    return [found for text in texts for line in lines_of(text) if "corral" in line for found in commands_in(line)]


@functools.cache
def replicas(name: str) -> dict[str, int]:
    """Mapping from service to how many there are."""
    out, err = io.StringIO(), io.StringIO()
    assert cli.run(("--project-directory", str(labs.HOME / name), "config", "--format", "json"), out, err) == 0, (
        err.getvalue()
    )
    services = json.loads(out.getvalue())["services"]
    return {service: int(said.get("scale", 1)) for service, said in services.items()}


@EVERY_LAB
def test_what_is_to_be_typed_is_accepted_and_of_a_service_that_is_there(name: str) -> None:
    found = written(name)
    assert (["up", "-d", "--wait"], ";") in found
    for words, _ in found:
        options = cli.parse_globals(words)
        arguments = vars(cli.parse_command(options.command, cli.module_of(options.command), options.rest))
        services = [*arguments.get("services", ()), *([arguments["service"]] if "service" in arguments else ())]
        scaled = [word.partition("=")[0] for word in arguments.get("scale") or ()]
        assert {*services, *scaled} <= set(replicas(name)), words
        if options.command == "exec":
            assert arguments["command"], words
            assert arguments["index"] <= replicas(name)[services[0]], words


@EVERY_LAB
def test_what_goes_on_in_the_background_leaves_the_terminal_alone(name: str) -> None:
    """The kernel stops it where it reads there, or sets it to raw."""
    for words, end in written(name):
        if words[0] == "exec" and end == "&":
            assert words[1] == "-T", words
            assert words[-1] == "</dev/null", words
