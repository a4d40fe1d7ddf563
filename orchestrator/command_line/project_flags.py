"""What `up`, `plan`, `create` and `scale` can say of the project beside its files, and the request that comes of it."""

import argparse
from typing import TYPE_CHECKING

from orchestrator import errors
from orchestrator.command_line import invocation, providers

if TYPE_CHECKING:
    from orchestrator import protocol
    from specs import loader

PULL_POLICIES = ("always", "missing", "never", "build", "policy")
RECREATE = {(False, False): "changed", (True, False): "named", (False, True): "needed", (True, True): "all"}
"""By --force-recreate and --always-recreate-deps: words of reconciler.asking."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Of all of them."""
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services and what they need (default: all)")
    add(
        "--scale",
        action="append",
        default=[],
        metavar="SERVICE=N",
        help="so many containers of a service, whatever the file says",
    )
    add("--force-recreate", action="store_true", help="make containers anew even if nothing changed")
    add("--no-recreate", action="store_true", help="leave containers that are there as they are, whatever changed")
    add("--remove-orphans", action="store_true", help="remove services of this project that other files declare")
    add("-y", "--yes", action="store_true", help="accepted: nothing is asked")
    configure_images(parser)


def configure_images(parser: argparse.ArgumentParser) -> None:
    """Nothing of it means anything while the only images are the machine itself and root folders."""
    add = parser.add_argument
    add("--build", action="store_true", help="accepted, with a note: corral builds no images yet")
    add("--no-build", action="store_true", help="accepted: nothing is built")
    add("--pull", choices=PULL_POLICIES, metavar="POLICY", help="accepted: nothing is pulled yet")
    add("--quiet-pull", action="store_true", help="accepted: nothing is pulled yet")
    add("--quiet-build", action="store_true", help="accepted: nothing is built")


def configure_more(parser: argparse.ArgumentParser) -> None:
    """Of `up` and `plan`."""
    add = parser.add_argument
    add("--no-deps", action="store_true", help="not what the services need, only themselves")
    add("--always-recreate-deps", action="store_true", help="make containers of what the services need anew, too")
    add("-V", "--renew-anon-volumes", action="store_true", help="new, empty anonymous volumes; the old ones stay")
    add("--no-start", action="store_true", help="make containers, and start none that does not run yet")


def refuse_pairs(arguments: argparse.Namespace, prog: str, pairs: tuple[tuple[str, str], ...]) -> None:
    """Raises UsageError for two flags that contradict each other."""
    for one, other in pairs:
        if all(getattr(arguments, flag.strip("-").replace("-", "_"), None) for flag in (one, other)):
            raise errors.UsageError(f"{prog}: {one} and {other} are incompatible", hint="give one of them")


CONTRADICTIONS = (
    ("--build", "--no-build"),
    ("--force-recreate", "--no-recreate"),
    ("--always-recreate-deps", "--no-recreate"),
    ("--renew-anon-volumes", "--no-recreate"),
)  # docker/compose cmd/compose/up.go, validateFlags


def request_of(
    arguments: argparse.Namespace, called: invocation.Invocation, loaded: "loader.Loaded", *, start: bool = True
) -> "protocol.Up":
    """What they have in common. Raises UsageError."""
    from orchestrator import protocol

    said = vars(arguments)
    if providers.are_all(arguments.services, loaded):  # no service at all would be every service
        names = ", ".join(arguments.services)
        raise errors.UsageError(f"corral: {names}: no container, but what a program makes with `up` and `create`")
    if arguments.build:
        called.note("corral builds no images yet: --build does nothing")
    return protocol.Up(
        document=loaded.canonical,
        files=loaded.files,
        services=providers.without_them(arguments.services, loaded),
        scale=scale_of(arguments.scale),
        recreate="never"
        if arguments.no_recreate
        else RECREATE[arguments.force_recreate, said.get("always_recreate_deps", False)],
        renew_volumes=said.get("renew_anon_volumes", False),
        start=start and not said.get("no_start", False),
        no_deps=said.get("no_deps", False),
        orphans=orphans_of(called, remove=arguments.remove_orphans),
        inactive=loaded.disabled,
    )


def orphans_of(called: invocation.Invocation, *, remove: bool) -> str:
    """A word of reconciler.asking, by the flag and two variables. Raises UsageError."""
    ignores = called.switch("COMPOSE_IGNORE_ORPHANS")
    if ignores and remove:
        raise errors.UsageError("corral: cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans", hint="unset it")
    if ignores:
        return "keep"
    return "remove" if remove or called.switch("COMPOSE_REMOVE_ORPHANS") else "ours"


def scale_of(pairs: list[str], said: str = "--scale ") -> dict[str, int]:
    """Mapping from service to count. Raises UsageError."""
    found = {}
    for pair in pairs:
        service, equals, count = pair.partition("=")
        if not service or not equals or not count.isdecimal():
            raise errors.UsageError(f"corral: cannot use {said}{pair}", hint=f"{said}SERVICE=NUMBER")
        found[service] = int(count)
    return found
