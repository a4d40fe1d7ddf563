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

from orchestrator import errors
from orchestrator.command_line import invocation, project_flags, providers

if TYPE_CHECKING:
    from orchestrator import client
    from orchestrator.command_line import following
    from specs import loader


def configure(parser: argparse.ArgumentParser) -> None:
    project_flags.configure(parser)
    project_flags.configure_more(parser)
    add = parser.add_argument
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
    configure_attached(parser)


def configure_attached(parser: argparse.ArgumentParser) -> None:
    """What counts without -d only."""
    add = parser.add_argument
    add("--abort-on-container-exit", action="store_true", help="stop everything when a container has ended")
    add("--abort-on-container-failure", action="store_true", help="stop everything when one has ended with an error")
    add("--exit-code-from", default="", metavar="SERVICE", help="that, with the exit code of this service's container")
    add("--attach", action="append", default=[], metavar="SERVICE", help="show the output of this service only")
    add("--no-attach", action="append", default=[], metavar="SERVICE", help="do not show the output of this service")
    add("--attach-dependencies", action="store_true", help="show the output of what the services need, too")
    add("--no-log-prefix", action="store_true", help="do not begin each line with the container's name")
    add("--no-color", action="store_true", help="no colours")
    add("--timestamps", action="store_true", help="begin each line with its time")
    add("--menu", action="store_true", help="accepted: there is no menu")


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


def refuse_contradictions(arguments: argparse.Namespace) -> None:
    """As docker compose does. Raises UsageError."""
    project_flags.refuse_pairs(arguments, "corral up", project_flags.CONTRADICTIONS)
    aborts = ("--abort-on-container-exit", "--abort-on-container-failure")
    attaching = (*aborts, "--exit-code-from", "--attach", "--attach-dependencies")
    project_flags.refuse_pairs(arguments, "corral up", (aborts, ("--attach", "--attach-dependencies")))
    for flag in (*aborts, "--exit-code-from", "--wait", "--no-start"):
        project_flags.refuse_pairs(arguments, "corral up", ((flag, "--watch"),))
    project_flags.refuse_pairs(
        arguments,
        "corral up",
        tuple((one, other) for one in ("--detach", "--wait", "--no-start") for other in attaching),
    )


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    import time

    refuse_contradictions(arguments)
    if called.options.dry_run:
        return foretell(arguments, called)
    if arguments.watch:
        return watch(arguments, called)
    attach = not (arguments.detach or arguments.wait or arguments.no_start)
    loaded, since = load(arguments, called), time.time()
    if providers.are_all(arguments.services, loaded):
        providers.up(called, loaded, arguments.services, no_deps=arguments.no_deps)
        return 0
    events = begin(arguments, called, loaded, attach=attach)
    try:
        if attach:
            from orchestrator.command_line import attached

            url, shown = url_of(loaded), shown_of(loaded.canonical, arguments)
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
    """The files as they are, and what is mounted of this machine. Raises InvalidFiles, UsageError."""
    loaded = called.load(tuple(arguments.services), scale=project_flags.scale_of(arguments.scale))
    refuse_unknown(arguments, loaded.canonical)
    invocation.look_up_machine(loaded, make=not called.options.dry_run)
    return loaded


def begin(
    arguments: argparse.Namespace, called: invocation.Invocation, loaded: "loader.Loaded", *, attach: bool
) -> "client.Events":
    """The `up` of them, after their providers. Raises InvalidFiles for what the daemon refuses, DaemonError."""
    loaded = providers.up(called, loaded, arguments.services, no_deps=arguments.no_deps)
    request = project_flags.request_of(arguments, called, loaded)._replace(
        wait=arguments.wait,
        wait_timeout_s=arguments.wait_timeout,
        timeout_s=arguments.timeout,
        attach=attach,
    )
    try:
        return called.follow(f"{url_of(loaded)}/up", request)
    except errors.Refused as error:
        raise invocation.located(error, loaded) from error


def foretell(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    loaded = load(arguments, called)
    try:
        return called.foretell(f"{url_of(loaded)}/up", project_flags.request_of(arguments, called, loaded))
    except errors.Refused as error:
        raise invocation.located(error, loaded) from error


def url_of(loaded: "loader.Loaded") -> str:
    return f"/v1/projects/{loaded.project_name}"


def watch(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    """`up` at every save, until Ctrl-C, which stops the project where its output is shown."""
    import time

    from orchestrator.command_line import attached, watched

    since, named = time.time(), tuple(arguments.services)

    def begun(loaded: "loader.Loaded") -> "client.Events":
        events = begin(arguments, called, loaded, attach=not arguments.detach)
        for once in ("force_recreate", "always_recreate_deps", "renew_anon_volumes"):
            setattr(arguments, once, False)
        return events

    def end(loaded: "loader.Loaded") -> int:
        if arguments.detach:
            called.note("no longer watching; everything goes on")
            return attached.INTERRUPTED
        return attached.end(called, url_of(loaded), named, arguments.timeout)

    def follower(loaded: "loader.Loaded") -> "following.Follower | None":
        if arguments.detach:
            return None
        return attached.follower_of(called, url_of(loaded), arguments, shown_of(loaded.canonical, arguments), since)

    return watched.run(called, watched.Words(lambda: load(arguments, called), begun, follower, end))


def has_pages(canonical: Mapping[str, Any]) -> bool:
    """Whether a service of the file says which pages it serves."""
    return any("pages" in service.get("x-corral", {}) for service in canonical["services"].values())


def refuse_unknown(arguments: argparse.Namespace, canonical: Mapping[str, Any]) -> None:
    """Raises UsageError for a service that a flag names and that is not there."""
    for name in (*arguments.attach, *arguments.no_attach, *filter(None, (arguments.exit_code_from,))):
        if name not in canonical["services"]:
            raise errors.UsageError(f"no such service: {name}", hint=f"there are {', '.join(canonical['services'])}")


def shown_of(canonical: Mapping[str, Any], arguments: argparse.Namespace) -> tuple[str, ...]:
    """The services whose output is shown: those that --attach names; else of those that were named (with --attach-dependencies
    of all), the ones that do not say `attach: false`. Never those of --no-attach. (): all; "" is none's name."""
    services, named = canonical["services"], tuple(arguments.services)
    silent = {name for name, service in services.items() if service.get("attach") is False} - set(arguments.attach)
    silent |= set(arguments.no_attach)
    wanted = tuple(arguments.attach) or (() if arguments.attach_dependencies else named)
    return tuple(name for name in wanted or services if name not in silent) or ("",) if silent else wanted
