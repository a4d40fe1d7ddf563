"""How a container's end is recorded.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import time

from engine.process import birth, durable, frames, killing, wire

KILL_S = 10.0
KILL_AGAIN_S = 0.002


def record(data: bytes, started: birth.Started, code: int) -> bytes:
    """Write the exit record durably; gives it encoded. `data`: the Start of this run. In a pid namespace that is another's
    nothing ends with the first process: what is left in the container's cgroups is killed first."""
    spec: wire.StartSpec = frames.decode(data).body.spec
    if not started.alone:
        _kill_the_rest(spec.cgroups)
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


def _kill_the_rest(cgroups: wire.Cgroups) -> None:
    deadline = time.monotonic() + KILL_S
    while killing.kill_all(cgroups) and time.monotonic() < deadline:
        time.sleep(KILL_AGAIN_S)  # the kernel has no word for an empty v1 cgroup
