"""Show what happens to containers, as it happens: one line an event, in docker's words.

corral events                  from now on; Ctrl-C ends it
corral events --since 10m      what happened in the last ten minutes, and from now on
corral events --json web       of the service web, one JSON object a line

create, start, die (exitCode), oom, kill (signal), stop, restart, pause, unpause, health_status: healthy, destroy; and of networks
connect and disconnect. What happened while the daemon was dead is told by the next one. Kept until `corral down`, the last
two thousand or so.
"""

import argparse
import time
from typing import TYPE_CHECKING

from orchestrator import errors
from orchestrator.command_line import invocation

if TYPE_CHECKING:
    from orchestrator import client, protocol


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only of these services (default: all)")
    add("--json", action="store_true", help="one JSON object a line, for programs")
    add("--since", default="", metavar="TIME", help="first what came after: 2025-03-01T12:00:00Z, or 10m (ago)")
    add("--until", default="", metavar="TIME", help="only what came before, then end")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import following

    request = protocol.Events(following.since_of(arguments.since), following.since_of(arguments.until, flag="--until"))
    events = called.follow(f"/v1/projects/{called.project_name()}/events", request)
    try:
        began = time.time()
        while (event := next_of(events, request.until, began)) is not None:
            if not arguments.services or event.service in arguments.services:
                called.out.write((json_of(event) if arguments.json else text_of(event)) + "\n")
                called.out.flush()
    finally:
        events.close()
    return 0


def next_of(events: "client.Events", until: float | None, began: float) -> "protocol.Happened | None":
    """None where there will be none before `until`; where that was before we `began`, the daemon says when it is over. Raises
    DaemonError where the daemon ends."""
    from orchestrator import protocol

    while True:
        patience_s = None if until is None or until <= began else max(until - time.time(), 0.0)
        event = events.next(patience_s)
        if isinstance(event, protocol.Happened):
            if until is None or event.at < until:
                return event
        elif isinstance(event, protocol.Settled) or (event is None and not events.over):
            return None
        elif events.over:
            raise errors.DaemonError("the daemon ended; the containers go on", hint="corral events --since 1m")


def text_of(event: "protocol.Happened") -> str:
    """As docker compose says it."""
    import datetime

    from orchestrator.command_line import output

    moment = datetime.datetime.fromtimestamp(event.at)
    said = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()))
    return output.clean(f"{moment:%Y-%m-%d %H:%M:%S.%f} {event.type} {event.action} {event.id} ({said})")


def json_of(event: "protocol.Happened") -> str:
    """With the keys of docker compose."""
    import datetime
    import json

    moment = datetime.datetime.fromtimestamp(event.at, datetime.UTC)
    return json.dumps(
        {
            "action": event.action,
            "attributes": dict(event.attributes),
            "id": event.id,
            "service": event.service,
            "time": moment.isoformat(timespec="microseconds"),
            "type": event.type,
        },
        separators=(",", ":"),
    )
