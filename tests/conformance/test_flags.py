"""Every command and flag of docker compose is one of ours, or is refused by name; and the page says which."""

import pytest

from orchestrator.command_line import cli, unsupported
from tests.conformance import commands_table, flags

GROUPS = {"bridge"}
"""Management commands: what is below them is refused with them."""


def ours(command: str) -> set[str]:
    return set(cli._flags_of(cli.command_parser(command, cli.module_of(command)))) | unsupported.FLAGS[command]


def test_every_command_is_known() -> None:
    theirs = set(flags.commands())
    assert len(theirs) > 30
    assert theirs - cli.COMMANDS.keys() - unsupported.COMMANDS == set()
    assert GROUPS < unsupported.COMMANDS


def test_every_flag_before_the_command_is_known() -> None:
    assert flags.flags() > {"--ansi", "-f", "--profile"}
    assert flags.flags() - set(cli._flags_of(cli.global_parser())) == set()


@pytest.mark.timeout(120)
def test_every_flag_of_a_command_is_known() -> None:
    both = sorted(cli.COMMANDS.keys() & set(flags.commands()))
    assert len(both) > 25
    missing = {command: sorted(flags.flags(command) - ours(command)) for command in both}
    assert {command: found for command, found in missing.items() if found} == {}


def test_the_page_has_the_table_as_it_is() -> None:
    text = commands_table.PAGE.read_text()
    assert text == commands_table.page(text), "`make docs` writes it"
