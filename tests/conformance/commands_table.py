"""The table of docs/commands.md: what becomes of each command and flag, by what the command line itself takes.

python -m tests.conformance.commands_table      write it
"""

import argparse
import pathlib

from orchestrator.command_line import cli, unsupported

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "commands.md"
BEGIN, END = "<!-- commands: begin -->\n", "<!-- commands: end -->\n"
NOTHING = "accepted"
"""So begins the help of a flag that means nothing to corral."""
EVERYWHERE = {"-h", "--help", "--dry-run"}


def table() -> str:
    rows = ["| command | flags | taken, without effect | refused by name |", "|---|---|---|---|"]
    rows.append(_row("*before the command*", cli.global_parser(), ()))
    for command in sorted(cli.COMMANDS):
        parser = cli.command_parser(command, cli.module_of(command))
        below = cli.commands_below(parser)
        rows += [] if below else [_row(f"`{command}`", parser, sorted(unsupported.FLAGS[command]))]
        rows += [
            _row(f"`{command} {verb}`", each, sorted(unsupported.FLAGS.get(f"{command} {verb}", ())))
            for verb, each in below.items()
        ]
    rows += [f"| `{command}` | | | the whole command, for now |" for command in sorted(unsupported.COMMANDS)]
    return "".join(f"{row}\n" for row in rows)


def _row(name: str, parser: argparse.ArgumentParser, refused: list[str]) -> str:
    shown = [each for each in parser._actions if each.option_strings and each.help != argparse.SUPPRESS]
    shown = [each for each in shown if not EVERYWHERE & set(each.option_strings)]
    taken = [each for each in shown if str(each.help).startswith(NOTHING)]
    honoured = [each for each in shown if each not in taken]
    cells = (" ".join(map(_words, honoured)), " ".join(map(_words, taken)), " ".join(f"`{each}`" for each in refused))
    return f"| {name} | {' | '.join(cells)} |"


def _words(action: argparse.Action) -> str:
    return f"`{'/'.join(action.option_strings)}`"


def page(text: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
