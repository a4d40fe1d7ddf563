"""`corral up` without -d: starts everything and shows what the containers write, until they end or the user says so.

The first Ctrl-C (or SIGTERM) stops the project, each container with its grace; the second kills it. The end of a container
stops it, too, where the user has said that it is the end of all.
"""

import argparse
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from orchestrator import client, encoding, protocol
from orchestrator.command_line import following, invocation

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell: 128 + SIGINT."""
FAILED = 1
"""Of a container of which nobody knows how it ended."""


class Aborting:
    """Whether a container's end is the end of all. `code_from`: the service whose exit code counts; "": that of the one that
    ended first."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.code_from: str = arguments.exit_code_from
        self._on_failure: bool = arguments.abort_on_container_failure
        self.is_asked = bool(self.code_from or self._on_failure or arguments.abort_on_container_exit)
        self.culprit: protocol.Container | None = None

    def has_come(self, event: protocol.Containers) -> bool:
        """Steps that come before a service are no containers of it."""
        ended = [each for each in event.containers if self.is_asked and has_ended(each)]
        self.culprit = next((each for each in ended if each.code != 0 or not self._on_failure), None)
        return self.culprit is not None

    def code(self, containers: Iterable[protocol.Container]) -> int:
        """The exit code of it all, once everything has stopped."""
        if self.culprit and not self.code_from:
            return FAILED if self.culprit.code is None else self.culprit.code
        codes = [each.code for each in containers if each.service == self.code_from and "/" not in each.slot]
        return next((FAILED if code is None else code for code in codes), FAILED)


def has_ended(container: protocol.Container) -> bool:
    is_counted = "/" not in container.slot and not container.run_of
    return is_counted and container.state == "exited" and container.rests


def run(
    called: invocation.Invocation,
    events: client.Events,
    url: str,
    *,
    arguments: argparse.Namespace,
    shown: tuple[str, ...],
    since: float,
) -> int:
    """Show how everything is started, then the output of the services `shown` (none: of all) from `since` on; the exit code: 0
    when all has ended by itself."""
    aborting = Aborting(arguments)
    follower = follower_of(called, url, arguments, shown, since)
    try:
        with terminated_as_interrupted():
            try:
                code = invocation.report(called, invocation.show(events, called.display("up")))
                if not code:
                    following.until_over(events, follower, aborting.has_come)
                if aborting.is_asked:
                    code = abort(called, url, arguments, follower, aborting, code)
            except KeyboardInterrupt:
                code = end(called, url, tuple(arguments.services), arguments.timeout)
            follower.show(last=True)
            return code
    finally:
        follower.close()


def abort(
    called: invocation.Invocation,
    url: str,
    arguments: argparse.Namespace,
    follower: following.Follower,
    aborting: Aborting,
    code: int,
) -> int:
    """Where a container has ended, stop what still runs; the exit code, `code` where none has."""
    known = _containers(called, url)
    if aborting.culprit is None:
        aborting.has_come(known)
    follower.know(known.containers)
    if aborting.culprit is None:
        return code
    if not all(each.rests or each.run_of for each in known.containers):
        called.note(f"{aborting.culprit.name} ended: stopping everything")
        called.watch("stop", f"{url}/stop", protocol.Stop(tuple(arguments.services), arguments.timeout))
    return aborting.code(_containers(called, url).containers)


def _containers(called: invocation.Invocation, url: str) -> protocol.Containers:
    return encoding.parse(protocol.Containers, called.ask("GET", f"{url}/logs"))


def follower_of(
    called: invocation.Invocation, url: str, arguments: argparse.Namespace, shown: tuple[str, ...], since: float
) -> following.Follower:
    """Shows what these services write from then on."""
    options = following.Options(
        services=shown,
        since=since,
        timestamps=arguments.timestamps,
        prefix=not arguments.no_log_prefix,
        colour=not arguments.no_color,
    )
    project = url.rpartition("/")[2]
    return following.Follower(called.out, options, project, colour=called.may_colour(sys.stdout))


def end(called: invocation.Invocation, url: str, services: tuple[str, ...], timeout_s: float | None) -> int:
    """Stop the project; kill it if we are interrupted once more."""
    try:
        called.note("stopping; Ctrl-C again kills")
        called.watch("stop", f"{url}/stop", protocol.Stop(services, timeout_s))
    except KeyboardInterrupt:
        called.ask("POST", f"{url}/kill", protocol.Kill(services))
    return INTERRUPTED


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP do what Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, interrupt)) for number in (signal.SIGTERM, signal.SIGHUP)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
