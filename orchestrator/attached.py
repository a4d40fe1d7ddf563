"""`corral up` without -d: starts everything and shows what the containers write, until they end or the user says so.

The first Ctrl-C (or SIGTERM) stops the project, each container with its grace; the second kills it.
"""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator import client, following, invocation, output, protocol

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell: 128 + SIGINT."""


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
    follower = follower_of(called, url, arguments, shown, since)
    try:
        with terminated_as_interrupted():
            try:
                code = invocation.report(called, invocation.show(events, called.display("up")))
                if not code:
                    following.until_over(events, follower)
            except KeyboardInterrupt:
                code = end(called, url, tuple(arguments.services), arguments.timeout)
            follower.show(last=True)
            return code
    finally:
        follower.close()


def follower_of(
    called: invocation.Invocation, url: str, arguments: argparse.Namespace, shown: tuple[str, ...], since: float
) -> following.Follower:
    """Shows what these services write from then on."""
    options = following.Options(services=shown, since=since, prefix=not arguments.no_log_prefix)
    project = url.rpartition("/")[2]
    return following.Follower(called.out, options, project, colour=output.may_colour(sys.stdout, called.environ))


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
