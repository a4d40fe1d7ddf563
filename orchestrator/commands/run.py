"""Run a command in a new container of a service, beside those of the service: a one-off.

    corral run --rm web sh            a shell, if this is a terminal; the container goes when it ends
    corral run --rm -T db pg_dump -h db > dump       no terminal: for pipes and scripts
    corral run -d worker              in the background; prints its id

It has everything of the service but its ports (-P, -p), its names in networks (--use-aliases) and its fixed addresses. What the
service needs is started first. The one-off stays with the project, shown by `ps -a`, until it is removed: by --rm, `corral rm` or
`corral down`. It runs once. The exit code is the command's own.
"""

import argparse
import secrets
import select
import sys
from typing import TYPE_CHECKING

from orchestrator import errors
from orchestrator.command_line import invocation

if TYPE_CHECKING:
    from orchestrator import client, protocol

NAME_BYTES = 6
POLL_S = 0.05
FAILED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    from orchestrator.command_line import project_flags

    parser.usage = "corral run [OPTIONS] SERVICE [COMMAND] [ARGS…]"
    add = parser.add_argument
    add("--rm", action="store_true", help="remove the container when it ends, with its anonymous volumes")
    add("-d", "--detach", action="store_true", help="leave it running, and print its id")
    configure_terminal(parser)
    configure_container(parser)
    add("-P", "--service-ports", action="store_true", help="publish the service's ports")
    add("-p", "--publish", action="append", default=[], metavar="PORT", help="publish a port: [[IP:]HOST:]PORT[/udp]")
    add("--name", default="", metavar="NAME", help="name of the container (default: PROJECT-SERVICE-run-…)")
    add("--no-deps", action="store_true", help="do not start what the service needs")
    add("--use-aliases", action="store_true", help="be found by the service's names in its networks")
    add("--remove-orphans", action="store_true", help="remove services of this project that other files declare")
    add("-q", "--quiet", action="store_true", help="do not show what is started for it")
    project_flags.configure_images(parser)
    add("service", metavar="SERVICE", help="the service")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")


def configure_terminal(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-i", "--interactive", action=argparse.BooleanOptionalAction, default=True, help="pass standard input on")
    add("-t", "--tty", action="store_true", help="with a terminal (so by default where this is one)")
    add("-T", "--no-tty", "--no-TTY", action="store_true", help="without a terminal")


def configure_container(parser: argparse.ArgumentParser) -> None:
    """What it has that the service has not."""
    add = parser.add_argument
    add("--entrypoint", metavar="COMMAND", help="instead of the service's entrypoint and command")
    add("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable; again for more")
    add("--env-from-file", action="append", default=[], metavar="FILE", help="set the variables of a file")
    add("-l", "--label", action="append", default=[], metavar="NAME=VALUE", help="add a label")
    add("-u", "--user", metavar="USER", help="run as this user")
    add("-w", "--workdir", metavar="DIR", help="run in this folder")
    add("-v", "--volume", action="append", default=[], metavar="VOLUME", help="mount as in a file: SOURCE:TARGET[:ro]")
    add("--cap-add", action="append", default=[], metavar="NAME", help="add a capability")
    add("--cap-drop", action="append", default=[], metavar="NAME", help="take a capability away")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import one_off, project_flags, providers

    project_flags.refuse_pairs(arguments, "corral run", (("--build", "--no-build"), ("--tty", "--no-tty")))
    tty = wants_terminal(arguments)
    over = one_off.document(arguments, called.environ, tty=tty, stdin_open=arguments.interactive)
    try:
        loaded = called.load((arguments.service,), over=over)
    except invocation.InvalidFiles:
        called.load((arguments.service,))  # what is wrong without the command comes first
        raise
    invocation.look_up_machine(loaded, make=not called.options.dry_run)
    if not called.options.dry_run:
        loaded = providers.up(called, loaded, (arguments.service,), no_deps=arguments.no_deps)
    name = f"{arguments.service}-run-{secrets.token_hex(NAME_BYTES)}"
    request = protocol.Run(
        document=loaded.canonical,
        files=loaded.files,
        service=arguments.service,
        name=name,
        container_name=arguments.name or f"{loaded.project_name}-{name}",
        no_deps=arguments.no_deps,
        use_aliases=arguments.use_aliases,
        start=arguments.detach,
        brief=arguments.rm,
        heard=not arguments.detach,
        remove_orphans=arguments.remove_orphans,
    )
    if arguments.quiet:
        called.options.progress = "quiet"
    url = f"/v1/projects/{loaded.project_name}"
    try:
        if called.options.dry_run:
            return called.foretell(f"{url}/run", request)
        events = called.follow(f"{url}/run", request)
    except errors.Refused as error:
        raise invocation.located(of_the_service(error, name, arguments.service), loaded) from error
    return in_background(called, events, url, name) if arguments.detach else attached(called, events, url, request)


def of_the_service(error: errors.Refused, name: str, service: str) -> errors.Refused:
    """What is wrong with the one-off stands at its service in the files."""
    own = ("services", name)
    error.problems = tuple(
        each._replace(path=("services", service, *each.path[2:])) if each.path[:2] == own else each
        for each in error.problems
    )
    return error


def wants_terminal(arguments: argparse.Namespace) -> bool:
    """Raises UsageError for a terminal that is not there."""
    if arguments.tty and not arguments.detach and not sys.stdin.isatty():
        raise errors.UsageError("corral run: -t needs a terminal, and standard input is none", hint="use -T")
    here = sys.stdin.isatty() and sys.stdout.isatty() and not arguments.detach
    return bool(arguments.tty or here) and not arguments.no_tty


# ----------------------------------------------------------------------------------------------------- in the background


def in_background(called: invocation.Invocation, events: "client.Events", url: str, name: str) -> int:
    """Until it has started."""
    from orchestrator import protocol

    display = called.display("run")
    settled = None
    try:
        for event in events:
            display.show(event)
            if isinstance(event, protocol.Settled):
                settled = event
                break
            if isinstance(event, protocol.Ended) and (event.id, event.verb, event.error) == (
                f"container:{name}",
                "start",
                "",
            ):
                break
    finally:
        display.finish()
        events.close()
    found = container_of(called, url, name)
    if settled and settled.outcome and not (found and found.started_at):
        return fail(called, settled, url, name)
    called.out.write(f"{found.uid if found else name}\n")
    return 0


def container_of(called: invocation.Invocation, url: str, name: str) -> "protocol.Container | None":
    from orchestrator import encoding, protocol

    try:
        found = encoding.parse(protocol.Containers, called.ask("GET", f"{url}/logs"))
    except errors.NotFound:  # it has ended, and with it the project
        return None
    return next((each for each in found.containers if each.slot == name), None)


def fail(called: invocation.Invocation, settled: "protocol.Settled", url: str, name: str) -> int:
    """Say why it did not come to run, and take it back."""
    code = invocation.report(called, settled)
    forget(called, url, name)
    return code


def forget(called: invocation.Invocation, url: str, name: str) -> None:
    """Remove it, with its anonymous volumes."""
    from orchestrator import protocol

    try:
        events = called.follow(f"{url}/rm", protocol.Rm((name,), stop=True, volumes=True))
    except errors.Refused:  # it is gone
        return
    try:
        next((event for event in events if isinstance(event, protocol.Settled)), None)
    finally:
        events.close()


# -------------------------------------------------------------------------------------------------------------- attached


def attached(called: invocation.Invocation, events: "client.Events", url: str, request: "protocol.Run") -> int:
    """Make it, attach to it, start it, in this order: nothing that it writes is missed."""
    from orchestrator import protocol
    from orchestrator.command_line import attaching

    name = request.name
    try:
        found = made(called, events, url, name)
        if isinstance(found, protocol.Settled):
            return fail(called, found, url, name)
        if (settled := started(called, url, name, found)) is not None:
            return fail(called, settled, url, name)
    except KeyboardInterrupt:
        forget(called, url, name)
        raise
    is_open = request.document["services"][request.service].get("stdin_open", False)
    keys = attaching.keys_of(attaching.DEFAULT_KEYS)
    code = attaching.pump(found, keys=keys, stdin=0 if is_open else -1, proxy=True, alone=True)
    if code is None:
        called.note("left it running")
    elif request.brief:
        forget(called, url, name)
    return code or 0


def made(called: invocation.Invocation, events: "client.Events", url: str, name: str) -> "int | protocol.Settled":
    """A descriptor attached to it, as soon as it is made; how it ended where it could not be. What else of the project is under
    way goes on."""
    from orchestrator import protocol
    from orchestrator.command_line import progress

    display = called.display("run")
    try:
        while not events.over:
            if (event := events.next(progress.REDRAW_S)) is None:
                display.tick()
                continue
            display.show(event)
            is_last = isinstance(event, protocol.Settled)
            if is_last or (
                isinstance(event, protocol.Ended) and event.id.startswith((f"container:{name}", "sandbox:"))
            ):
                try:
                    return called.receive_descriptor(f"{url}/attach", protocol.Attach(name, to_next=True))
                except errors.Refused as error:  # not all that it takes is there
                    if isinstance(event, protocol.Settled):
                        notes = event.notes if event.outcome else (str(error),)
                        return event._replace(outcome=FAILED, notes=notes)
    finally:
        display.finish()
        events.close()
    raise errors.DaemonError("the daemon ended in the middle of it", hint=f"`corral rm -sf {name}`")


def started(called: invocation.Invocation, url: str, name: str, descriptor: int) -> "protocol.Settled | None":
    """Start it, and show what it waits for until it runs; None where it does: the descriptor has something to be read."""
    from orchestrator import protocol

    def runs() -> bool:
        return bool(select.select([descriptor], [], [], POLL_S)[0])

    events = called.follow(f"{url}/run_start", protocol.RunStart(name))
    display = called.display("run")
    try:
        while not runs():
            while (event := events.next(0)) is not None:
                display.show(event)
                if isinstance(event, protocol.Settled):
                    return None if runs() else event._replace(outcome=FAILED)
            if events.over:
                raise errors.DaemonError("the daemon ended in the middle of it", hint=f"`corral rm -sf {name}`")
            display.tick()
        return None
    finally:
        display.finish()
        events.close()
