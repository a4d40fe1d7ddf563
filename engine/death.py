"""How a container's end is recorded, as a worker of the shim does it.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import socket
import time

from engine import birth, durable, frames, wire


def record(report: socket.socket, data: bytes, started: birth.Started, code: int) -> None:
    """Write the exit record durably, and report it encoded. `data`: the Start of this run."""
    spec: wire.StartSpec = frames.decode(data).body.spec
    process: wire.Process = frames.decode(started.process)
    found = wire.Exit(
        process.container,
        process.run,
        code,
        oom=birth.count_ooms(spec.oom_counters) > started.ooms,
        planned=process.planned,
        started_at=process.started_at,
        ended_at=time.time(),
    )
    try:
        durable.write(os.path.join(spec.run_directory, wire.EXIT_RECORD), found)
    except OSError:
        pass  # no space: who is connected hears of it all the same
    frames.send_raw(report, frames.encode(found))
