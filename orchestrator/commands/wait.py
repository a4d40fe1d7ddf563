"""Wait until all containers of these services have stopped; the exit code is that of the one that stopped last.

    corral wait job                     for scripts: goes on when the job is done, and knows how it ended
    corral wait --down-project test     until the first one stops; then takes the whole project down

One that has stopped already is not waited for, but counts. One that is started again by its restart policy has stopped.
"""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator import errors
from orchestrator.command_line import invocation

if TYPE_CHECKING:
    from orchestrator import client, protocol

RUNNING_STATES = ("running", "paused")
UNKNOWN_CODE = 1
"""Where nobody knows how it ended: its sandbox was lost with it."""


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="+", metavar="SERVICE", help="the services whose containers are waited for")
    add("--down-project", action="store_true", help="take the project down when the first of them stops")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import output

    url = f"/v1/projects/{called.project_name()}"
    events = called.follow(f"{url}/logs/follow", {})
    code = 0
    try:
        for name, found in stopped(events, frozenset(arguments.services)):
            said = "nobody knows with which status code" if found is None else f"exited with status code {found}"
            called.out.write(f'container "{output.clean(name)}" {said}\n')
            called.out.flush()
            code = UNKNOWN_CODE if found is None else found
            if arguments.down_project:
                break
    finally:
        events.close()
    if arguments.down_project:
        return called.watch("down", f"{url}/down", protocol.Down()) or code
    return code


def stopped(events: "client.Events", services: frozenset[str]) -> Iterator[tuple[str, int | None]]:
    """(name, exit code) of each container of the services when it stops, those first that have. Raises NotFound where
    there is none that has run, DaemonError where the events end before all have stopped."""
    from orchestrator import protocol

    waited: dict[str, protocol.Container] | None = None
    for event in events:
        if not isinstance(event, protocol.Containers):
            continue
        now = {each.uid: each for each in event.containers if each.service in services and each.started_at}
        if waited is None:
            refuse_missing(now, services)
            waited = dict(now)
        for uid, before in sorted(waited.items()):
            if has_stopped(before, now.get(uid), event.over):
                del waited[uid]
                yield before.name, now[uid].code if uid in now else None
        waited = {uid: now[uid] for uid in waited}
        if not waited:
            return
    raise errors.DaemonError("the daemon ended; the containers go on", hint="the same command again waits on")


def has_stopped(before: "protocol.Container", now: "protocol.Container | None", over: bool) -> bool:
    """The run that was seen before is over. One that neither runs nor has a code is just being started, or will be, unless
    all is `over`."""
    if now is None or now.state in RUNNING_STATES:
        return now is None or (before.state in RUNNING_STATES and now.started_at != before.started_at)
    return before.state in RUNNING_STATES or now.code is not None or over


def refuse_missing(containers: "dict[str, protocol.Container]", services: frozenset[str]) -> None:
    """Raises NotFound for a service of which no container has ever run."""
    for service in sorted(services - {each.service for each in containers.values()}):
        raise errors.NotFound(f"no container of service {service} has run", hint="`corral ps -a` lists them")
