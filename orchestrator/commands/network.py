"""List, make and remove networks, of all projects and of none.

    corral network ls                  all that there are
    corral network inspect NAME        everything about it, as JSON
    corral network create NAME         one of no project; a compose file uses it with `external: true`
    corral network rm NAME             not one that a project declares or a container is in
    corral network prune               those of no project that nobody uses
    corral network connect NAME WEB    join a service to it while it runs; `disconnect` takes it out. Until `corral up` of the
                                       service, which goes by the file again, or `corral down`; `corral plan` shows it

`corral network COMMAND --help` says more about each.
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation, shared_words
from orchestrator.command_line.shared_words import ID_SHOWN, Row

HEADS = ("NETWORK ID", "NAME", "DRIVER", "SCOPE", "PROJECT")
FILTERS = {
    "dangling": shared_words.is_dangling,
    "driver": lambda row, text: row["Driver"] == text,
    "id": lambda row, text: row["Id"].startswith(text),
    "label": shared_words.has_label,
    "name": lambda row, text: text in row["Name"],
    "project": lambda row, text: row["Project"] == text,
    "scope": lambda row, text: row["Scope"] == text,
    "type": lambda row, text: text == "custom",
}


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True, help="what to do")
    listing = verbs.add_parser("ls", aliases=["list"], help="list networks", allow_abbrev=False)
    shared_words.add_listing(listing, ", ".join(FILTERS))
    listing.add_argument("--no-trunc", action="store_true", help="ids in full")
    inspect = verbs.add_parser("inspect", help="everything about networks, as JSON", allow_abbrev=False)
    inspect.add_argument("names", nargs="+", metavar="NETWORK", help="by name or id")
    _configure_create(verbs.add_parser("create", help="make a network that belongs to no project", allow_abbrev=False))
    remove = verbs.add_parser("rm", aliases=["remove"], help="remove networks", allow_abbrev=False)
    remove.add_argument("-f", "--force", action="store_true", help="one that is not there is no error")
    remove.add_argument("names", nargs="+", metavar="NETWORK", help="by name or id")
    prune = verbs.add_parser("prune", help="remove networks of no project that nobody uses", allow_abbrev=False)
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    _configure_connect(
        verbs.add_parser("connect", help="join a service to a network, while it runs", allow_abbrev=False)
    )
    _add_members(verbs.add_parser("disconnect", help="take a service out of a network", allow_abbrev=False))


def _configure_connect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alias", action="append", default=[], metavar="NAME", help="another name there; again for more"
    )
    parser.add_argument("--ip", default="", metavar="ADDRESS", help="its address there (default: one that is free)")
    _add_members(parser)


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="its name or id")
    parser.add_argument("target", metavar="SERVICE", help="a service of the project, or the name of its only container")


def _configure_create(parser: argparse.ArgumentParser) -> None:
    shared_words.add_making(parser, "bridge")
    add = parser.add_argument
    add("--subnet", metavar="CIDR", help="its addresses (default: some that nothing else has)")
    add("--gateway", metavar="ADDRESS", help="this machine's own one in it (default: the first)")
    add("--ip-range", metavar="CIDR", help="the part of the subnet that addresses are given from")
    add("--internal", action="store_true", help="without a way out")
    add("name", metavar="NAME", help="what it is called, on this machine")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    if arguments.verb in ("connect", "disconnect"):
        return _join(arguments, called)
    verbs = {"ls": _ls, "list": _ls, "inspect": _inspect, "create": _create, "rm": _rm, "remove": _rm, "prune": _prune}
    return verbs[arguments.verb](arguments, called)


def _join(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    try:
        project = called.project_name()
    except invocation.InvalidFiles:
        project = ""  # the name of a container will do
    request = protocol.Connect(arguments.network, arguments.target, project)
    if arguments.verb == "connect":
        request = request._replace(aliases=tuple(arguments.alias), address=arguments.ip)
    return called.watch(arguments.verb, f"/v1/networks/{arguments.verb}", request)


def _ls(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    rows = shared_words.filtered(called.ask("GET", "/v1/networks")["networks"], arguments.filter, FILTERS)
    shown = len(rows[0]["Id"]) if rows and arguments.no_trunc else ID_SHOWN
    if arguments.quiet:
        called.out.write("".join(f"{row['Id'][:shown]}\n" for row in rows))
    else:
        table = [[row["Id"][:shown], row["Name"], row["Driver"], row["Scope"], row["Project"]] for row in rows]
        shared_words.show(called, arguments.format, HEADS, table, [line_of(row, shown) for row in rows])
    return 0


def line_of(row: Row, shown: int) -> Row:
    """With the keys of docker."""
    return {
        "Driver": row["Driver"],
        "ID": row["Id"][:shown],
        "IPv4": str(row["EnableIPv4"]).lower(),
        "IPv6": str(row["EnableIPv6"]).lower(),
        "Internal": str(row["Internal"]).lower(),
        "Labels": shared_words.labels_text(row),
        "Name": row["Name"],
        "Scope": row["Scope"],
        "Project": row["Project"],
    }


def _inspect(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    return shared_words.inspect(called, called.ask("GET", "/v1/networks")["networks"], arguments.names, "network")


def _create(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    settings = shared_words.settings_of(arguments, "bridge")
    pool = {"subnet": arguments.subnet, "gateway": arguments.gateway, "ip_range": arguments.ip_range}
    given = {key: value for key, value in pool.items() if value}
    if given and not arguments.subnet:
        raise errors.UsageError("corral network create: --gateway and --ip-range need a --subnet")
    settings |= {"ipam": {"config": [given]}} if given else {}
    settings |= {"internal": True} if arguments.internal else {}
    made = called.ask("POST", "/v1/networks/create", protocol.Make(arguments.name, settings))
    called.out.write(f"{made['id']}\n")
    return 0


def _rm(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    return shared_words.remove(called, "networks", arguments.names, forced=arguments.force)


def _prune(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    if not shared_words.is_sure(called, arguments.force, "this removes all networks of no project that nobody uses"):
        raise errors.UsageError("corral network prune: nothing was removed")
    return shared_words.prune(called, "networks")
