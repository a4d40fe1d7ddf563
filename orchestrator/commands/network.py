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

COLUMNS = {"NETWORK ID": "ID", "NAME": "Name", "DRIVER": "Driver", "SCOPE": "Scope", "PROJECT": "Project"}
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
PRUNED = FILTERS | {"label!": shared_words.lacks_label}


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True, help="what to do")
    listing = verbs.add_parser("ls", aliases=["list"], help="list networks", allow_abbrev=False)
    shared_words.add_listing(listing, ", ".join(FILTERS))
    listing.add_argument("--no-trunc", action="store_true", help="ids in full")
    inspect = verbs.add_parser("inspect", help="everything about networks, as JSON", allow_abbrev=False)
    shared_words.add_inspecting(inspect)
    inspect.add_argument("-v", "--verbose", action="store_true", help="accepted: there is no more to be told")
    inspect.add_argument("names", nargs="+", metavar="NETWORK", help="by name or id")
    _configure_create(verbs.add_parser("create", help="make a network that belongs to no project", allow_abbrev=False))
    remove = verbs.add_parser("rm", aliases=["remove"], help="remove networks", allow_abbrev=False)
    remove.add_argument("-f", "--force", action="store_true", help="one that is not there is no error")
    remove.add_argument("names", nargs="+", metavar="NETWORK", help="by name or id")
    prune = verbs.add_parser("prune", help="remove networks of no project that nobody uses", allow_abbrev=False)
    shared_words.add_pruning(prune, ", ".join(PRUNED))
    _configure_connect(
        verbs.add_parser("connect", help="join a service to a network, while it runs", allow_abbrev=False)
    )
    disconnect = verbs.add_parser("disconnect", help="take a service out of a network", allow_abbrev=False)
    disconnect.add_argument("-f", "--force", action="store_true", help="accepted: nothing is left of who is gone")
    _add_members(disconnect)


def _configure_connect(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--alias", action="append", default=[], metavar="NAME", help="another name there; again for more")
    add("--ip", default="", metavar="ADDRESS", help="its address there (default: one that is free)")
    add("--ip6", default="", metavar="ADDRESS", help="the same of IPv6")
    add(
        "--link-local-ip",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a link-local one on top; again for more",
    )
    add("--gw-priority", type=int, default=0, metavar="N", help="the network with the highest has its default route")
    add(
        "--driver-opt", action="append", default=[], metavar="NAME=VALUE", help="an option of its place; again for more"
    )
    _add_members(parser)


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", help="its name or id")
    parser.add_argument("target", metavar="SERVICE", help="a service of the project, or the name of its only container")


def _configure_create(parser: argparse.ArgumentParser) -> None:
    shared_words.add_making(parser, "bridge")
    add = parser.add_argument
    optional = argparse.BooleanOptionalAction
    add("--ipv4", action=optional, default=True, help="with IPv4 (default)")
    add("--ipv6", action=optional, default=False, help="with IPv6, too")
    again = "; again for the other family"
    add(
        "--subnet",
        action="append",
        default=[],
        metavar="CIDR",
        help=f"its addresses (default: some that are free){again}",
    )
    add(
        "--gateway",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="this machine's own one in it (default: the first)",
    )
    add(
        "--ip-range", action="append", default=[], metavar="CIDR", help="the part of the subnet that addresses are from"
    )
    text = "an address in it that is given to nobody, and whose it is; again for more"
    add("--aux-address", action="append", default=[], metavar="NAME=ADDRESS", help=text)
    add("--internal", action="store_true", help="without a way out")
    add("--attachable", action="store_true", help="accepted: whoever wants may join it")
    add("--ipam-driver", default="default", choices=("default",), help="accepted: there is one only")
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
    joined = joined_of(arguments) if arguments.verb == "connect" else {}
    request = protocol.Connect(arguments.network, arguments.target, project, joined)
    return called.watch(arguments.verb, f"/v1/networks/{arguments.verb}", request)


def joined_of(arguments: argparse.Namespace) -> Row:
    """What the flags of `connect` say, canonical."""
    said = {
        "aliases": arguments.alias,
        "ipv4_address": arguments.ip,
        "ipv6_address": arguments.ip6,
        "link_local_ips": arguments.link_local_ip,
        "gw_priority": arguments.gw_priority,
        "driver_opts": shared_words.pairs_of(arguments.driver_opt),
    }
    return {key: value for key, value in said.items() if value}


def _ls(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    rows = shared_words.filtered(called.ask("GET", "/v1/networks")["networks"], arguments.filter, FILTERS)
    shown = len(rows[0]["Id"]) if rows and arguments.no_trunc else ID_SHOWN
    if arguments.quiet:
        called.out.write("".join(f"{row['Id'][:shown]}\n" for row in rows))
    else:
        from orchestrator.command_line import templates

        called.out.write(templates.shown(arguments.format, [line_of(row, shown) for row in rows], COLUMNS))
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
    rows = called.ask("GET", "/v1/networks")["networks"]
    return shared_words.inspect(called, rows, arguments.names, "network", arguments.format)


def _create(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol

    settings = shared_words.settings_of(arguments, "bridge")
    pools = pools_of(arguments)
    settings |= {"ipam": {"config": pools}} if pools else {}
    settings |= {} if arguments.ipv4 else {"enable_ipv4": False}
    settings |= {"enable_ipv6": True} if arguments.ipv6 else {}
    settings |= {"internal": True} if arguments.internal else {}
    made = called.ask("POST", "/v1/networks/create", protocol.Make(arguments.name, settings))
    called.out.write(f"{made['id']}\n")
    return 0


def pools_of(arguments: argparse.Namespace) -> list[Row]:
    """A pool for each subnet, with what is said of it: of several, of the one that has it. Raises UsageError."""
    pools: list[Row] = [{"subnet": text} for text in arguments.subnet]
    for key, flag in (("gateway", "--gateway"), ("ip_range", "--ip-range")):
        for text in getattr(arguments, key):
            pool = _pool_with(pools, flag, text)
            if key in pool:
                raise errors.UsageError(
                    f"corral network create: {flag} {text}: {pool['subnet']} has {pool[key]} already"
                )
            pool[key] = text
    for name, text in shared_words.pairs_of(arguments.aux_address).items():
        _pool_with(pools, "--aux-address", text).setdefault("aux_addresses", {})[name] = text
    return pools


def _pool_with(pools: list[Row], flag: str, text: str) -> Row:
    """What is in no subnet, the daemon has the words for; where there are several, nobody knows which was meant."""
    if not pools:
        raise errors.UsageError(f"corral network create: {flag} needs a --subnet")
    if len(pools) == 1:
        return pools[0]
    for pool in pools:
        if _is_within(text, pool["subnet"]):
            return pool
    raise errors.UsageError(f"corral network create: {flag} {text} is in no --subnet")


def _is_within(text: str, subnet: str) -> bool:
    import ipaddress

    try:
        inner, outer = ipaddress.ip_network(text), ipaddress.ip_network(subnet)
    except ValueError:
        return False
    return inner.version == outer.version and inner.network_address in outer


def _rm(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    return shared_words.remove(called, "networks", arguments.names, forced=arguments.force)


def _prune(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    if not shared_words.is_sure(called, arguments.force, "this removes all networks of no project that nobody uses"):
        raise errors.UsageError("corral network prune: nothing was removed")
    return shared_words.prune(called, "networks", arguments.filter, PRUNED)
