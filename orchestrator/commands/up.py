"""Make what runs equal to the compose file: make what is missing, change what differs, start everything.

Only what differs is touched, and a change that works without a restart is made without one; `corral plan` shows it
before. Corral then keeps it so: what crashes is started again by its restart policy, what somebody else breaks is mended.

    corral up             start it, show what it writes; Ctrl-C stops it (a second Ctrl-C kills it)
    corral up -d          start it and return
    corral up -d --wait   return when everything is healthy
    corral up --watch     and again at every good save of the files (with -d: no output, and Ctrl-C leaves all running)
    corral up web db      only these services and what they need
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator import errors, invocation

if TYPE_CHECKING:
    from orchestrator import client, following, protocol
    from specs import loader


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    configure_project(parser)
    add("-d", "--detach", action="store_true", help="return when everything is started; do not follow the output")
    add("--wait", action="store_true", help="return when everything is started and healthy (implies -d)")
    add("--wait-timeout", type=seconds, metavar="SECONDS", help="give up waiting after so long")
    add(
        "-t",
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="how long a container may take to stop (default: its own grace)",
    )
    add("-w", "--watch", action="store_true", help="do it again whenever the project's files are saved, until Ctrl-C")
    add("--no-log-prefix", action="store_true", help="do not begin each line with the container's name")


def configure_project(parser: argparse.ArgumentParser) -> None:
    """What `plan` has too."""
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
    add("--no-deps", action="store_true", help="not what the services need, only themselves")
    add("--remove-orphans", action="store_true", help="remove services of this project that other files declare")


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    import time

    if arguments.watch:
        return watch(arguments, called)
    attach = not (arguments.detach or arguments.wait)
    loaded, since = load(arguments, called), time.time()
    events = begin(arguments, called, loaded, attach=attach)
    try:
        if attach:
            from orchestrator import attached

            url, shown = url_of(loaded), shown_of(loaded.canonical, tuple(arguments.services))
            return attached.run(called, events, url, arguments=arguments, shown=shown, since=since)
        code = invocation.report(called, invocation.show(events, called.display("up")))
        if code == 0 and arguments.wait and has_pages(loaded.canonical):
            from orchestrator.commands import urls

            urls.tell(called, loaded.project_name)
        return code
    except KeyboardInterrupt:
        called.note("the daemon goes on with it; `corral down` takes it back")
        raise
    finally:
        events.close()


def load(arguments: argparse.Namespace, called: invocation.Invocation) -> "loader.Loaded":
    """The files as they are, and what is mounted of this machine. Raises InvalidFiles."""
    loaded = called.load(tuple(arguments.services), scale=scale_of(arguments.scale))
    invocation.look_up_machine(loaded, make=True)
    return loaded


def begin(
    arguments: argparse.Namespace, called: invocation.Invocation, loaded: "loader.Loaded", *, attach: bool
) -> "client.Events":
    """The `up` of them. Raises InvalidFiles for what the daemon refuses, DaemonError."""
    request = request_of(arguments, loaded)._replace(
        wait=arguments.wait,
        wait_timeout_s=arguments.wait_timeout,
        timeout_s=arguments.timeout,
        attach=attach,
    )
    try:
        return called.follow(f"{url_of(loaded)}/up", request)
    except errors.Refused as error:
        raise invocation.located(error, loaded) from error


def url_of(loaded: "loader.Loaded") -> str:
    return f"/v1/projects/{loaded.project_name}"


def watch(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    """`up` at every save, until Ctrl-C, which stops the project where its output is shown."""
    import time

    from orchestrator import attached, watched

    if arguments.wait:
        raise errors.UsageError("corral up: --wait and --watch cannot be combined", hint="--watch goes on until Ctrl-C")
    since, named = time.time(), tuple(arguments.services)

    def begun(loaded: "loader.Loaded") -> "client.Events":
        events = begin(arguments, called, loaded, attach=not arguments.detach)
        arguments.force_recreate = False  # that was for once
        return events

    def end(loaded: "loader.Loaded") -> int:
        if arguments.detach:
            called.note("no longer watching; everything goes on")
            return attached.INTERRUPTED
        return attached.end(called, url_of(loaded), named, arguments.timeout)

    def follower(loaded: "loader.Loaded") -> "following.Follower | None":
        if arguments.detach:
            return None
        return attached.follower_of(called, url_of(loaded), arguments, shown_of(loaded.canonical, named), since)

    return watched.run(called, watched.Words(lambda: load(arguments, called), begun, follower, end))


def has_pages(canonical: Mapping[str, Any]) -> bool:
    """Whether a service of the file says which pages it serves."""
    return any("pages" in service.get("x-corral", {}) for service in canonical["services"].values())


def shown_of(canonical: Mapping[str, Any], named: tuple[str, ...]) -> tuple[str, ...]:
    """The services whose output is shown: of those named, or of all, the ones that do not say `attach: false`. (): all; "" is
    none's name."""
    services = canonical["services"]
    silent = {name for name, service in services.items() if service.get("attach") is False}
    return tuple(name for name in named or services if name not in silent) or ("",) if silent else named


def request_of(arguments: argparse.Namespace, loaded: "loader.Loaded") -> "protocol.Up":
    """The request that `plan` and `up` have in common."""
    from orchestrator import protocol

    return protocol.Up(
        document=loaded.canonical,
        files=loaded.files,
        services=tuple(arguments.services),
        scale=scale_of(arguments.scale),
        force_recreate=arguments.force_recreate,
        no_deps=arguments.no_deps,
        remove_orphans=arguments.remove_orphans,
    )


def scale_of(pairs: list[str]) -> dict[str, int]:
    """Mapping from service to count. Raises UsageError."""
    found = {}
    for pair in pairs:
        service, equals, count = pair.partition("=")
        if not service or not equals or not count.isdecimal():
            raise errors.UsageError(f"corral: cannot use --scale {pair}", hint="--scale SERVICE=NUMBER")
        found[service] = int(count)
    return found
