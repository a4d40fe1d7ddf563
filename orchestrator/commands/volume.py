"""List, make and remove volumes, of all projects and of none.

    corral volume ls                  all that there are
    corral volume inspect NAME        everything about it, as JSON
    corral volume create NAME         one of no project; a compose file uses it with `external: true`
    corral volume rm NAME             with its data; not one that a project declares or a container has
    corral volume prune               those that projects have left and nobody uses, with their data

`corral volume COMMAND --help` says more about each.
"""

import argparse
import secrets

from orchestrator import errors
from orchestrator.command_line import invocation, shared_words
from orchestrator.command_line.shared_words import Row

COLUMNS = {"DRIVER": "Driver", "VOLUME NAME": "Name", "PROJECT": "Project"}
FILTERS = {
    "dangling": shared_words.is_dangling,
    "driver": lambda row, text: row["Driver"] == text,
    "label": shared_words.has_label,
    "name": lambda row, text: text in row["Name"],
    "project": lambda row, text: row["Project"] == text,
}
PRUNED = FILTERS | {"label!": shared_words.lacks_label, "all": lambda row, text: True}


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True, help="what to do")
    listing = verbs.add_parser("ls", aliases=["list"], help="list volumes", allow_abbrev=False)
    shared_words.add_listing(listing, ", ".join(FILTERS))
    inspect = verbs.add_parser("inspect", help="everything about volumes, as JSON", allow_abbrev=False)
    shared_words.add_inspecting(inspect)
    inspect.add_argument("names", nargs="+", metavar="VOLUME", help="by name")
    create = verbs.add_parser("create", help="make a volume that belongs to no project", allow_abbrev=False)
    shared_words.add_making(create, "local")
    create.add_argument("name", nargs="?", metavar="NAME", help="default: one that nobody else has")
    remove = verbs.add_parser("rm", aliases=["remove"], help="remove volumes and their data", allow_abbrev=False)
    remove.add_argument("-f", "--force", action="store_true", help="one that is not there is no error")
    remove.add_argument("names", nargs="+", metavar="VOLUME", help="by name")
    prune = verbs.add_parser("prune", help="remove volumes that nobody needs, and their data", allow_abbrev=False)
    shared_words.add_pruning(prune, ", ".join(PRUNED))
    prune.add_argument("-a", "--all", action="store_true", help="also those that `corral volume create` made")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    verbs = {"ls": _ls, "list": _ls, "inspect": _inspect, "create": _create, "rm": _rm, "remove": _rm, "prune": _prune}
    return verbs[arguments.verb](arguments, called)


def _ls(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    rows = shared_words.filtered(called.ask("GET", "/v1/volumes")["volumes"], arguments.filter, FILTERS)
    if arguments.quiet:
        called.out.write("".join(f"{row['Name']}\n" for row in rows))
    else:
        from orchestrator.command_line import templates

        called.out.write(templates.shown(arguments.format, [line_of(row) for row in rows], COLUMNS))
    return 0


def line_of(row: Row) -> Row:
    """With the keys of docker."""
    return {
        "Driver": row["Driver"],
        "Labels": shared_words.labels_text(row),
        "Links": str(len(row["UsedBy"])),
        "Mountpoint": row["Mountpoint"],
        "Name": row["Name"],
        "Scope": row["Scope"],
        "Project": row["Project"],
    }


def _inspect(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    rows = called.ask("GET", "/v1/volumes")["volumes"]
    return shared_words.inspect(called, rows, arguments.names, "volume", arguments.format)


def _create(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    name = arguments.name or secrets.token_hex(32)
    made = called.ask("POST", "/v1/volumes/create", protocol.Make(name, shared_words.settings_of(arguments, "local")))
    called.out.write(f"{made['name']}\n")
    return 0


def _rm(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    return shared_words.remove(called, "volumes", arguments.names, forced=arguments.force)


def _prune(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    every = arguments.all or any(text.lower() in ("all=true", "all=1") for text in arguments.filter)
    which = "all volumes that no project declares and no container has"
    if not every:
        which = "all volumes that projects have left, and no container has"
    if not shared_words.is_sure(called, arguments.force, f"this removes {which}, and their data"):
        raise errors.UsageError("corral volume prune: nothing was removed")
    return shared_words.prune(called, "volumes", arguments.filter, PRUNED, every=every)
