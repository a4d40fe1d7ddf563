"""How a container's end is recorded.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import time

from engine.process import birth, durable, frames, wire


def record(data: bytes, started: birth.Started, code: int) -> bytes:
    """Write the exit record durably; gives it encoded. `data`: the Start of this run."""
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
    return frames.encode(found)
