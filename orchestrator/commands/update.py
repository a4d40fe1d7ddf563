"""Change limits of containers while they run: the processes go on, and keep their pids.

    corral update --memory 1g --cpus 1.5 web
    corral update --memory 0 --restart always web db      0: no limit

It counts for all containers of the services, also new ones and after a reboot, instead of what the compose file says: until
`corral up` of the service, which goes by the file again, or `corral down`. `corral plan` shows it.
"""

import argparse
from typing import Any

from orchestrator import errors
from orchestrator.command_line import invocation

NO_SWAP_LIMIT = -1


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--blkio-weight",
        dest="blkio_config.weight",
        type=whole,
        metavar="N",
        help="its share of block devices, 10 to 1000",
    )
    add("--cpus", dest="cpus", type=cpus, metavar="N", help="how many CPUs' time it may use (1.5)")
    add("--cpu-period", dest="cpu_period", type=whole, metavar="US", help="of --cpu-quota, in microseconds")
    add("--cpu-quota", dest="cpu_quota", type=whole, metavar="US", help="CPU time in each period; instead of --cpus")
    add("--cpu-rt-period", dest="cpu_rt_period", type=whole, metavar="US", help="of --cpu-rt-runtime, in microseconds")
    add("--cpu-rt-runtime", dest="cpu_rt_runtime", type=whole, metavar="US", help="real-time CPU time in each period")
    add("-c", "--cpu-shares", dest="cpu_shares", type=whole, metavar="N", help="its share where CPUs are short")
    add("--cpuset-cpus", dest="cpuset", metavar="LIST", help="which CPUs it may use (0-3,5)")
    add("-m", "--memory", dest="mem_limit", type=size, metavar="SIZE", help="how much memory (512m)")
    add("--memory-swap", dest="memswap_limit", type=swap, metavar="SIZE", help="memory and swap together; -1: no end")
    add(
        "--memory-reservation",
        dest="mem_reservation",
        type=size,
        metavar="SIZE",
        help="what is left to it where memory is short",
    )
    add("--pids-limit", dest="pids_limit", type=whole, metavar="N", help="how many processes and threads")
    add("--restart", dest="restart", metavar="POLICY", help="no, always, unless-stopped, on-failure[:N]")
    add("services", nargs="+", metavar="SERVICE", help="the services whose containers change")
    for action in parser._actions:
        if action.dest not in ("help", "services"):
            action.default = argparse.SUPPRESS


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import machine_limits

    changes = changes_of(arguments)
    if not changes:
        raise errors.UsageError("corral update: what is to change?", hint="corral update --memory 1g SERVICE")
    if any(changes.get(key) for key in machine_limits.REAL_TIME) and (why := machine_limits.why_no_real_time()):
        raise errors.Refused(f"corral update: cannot set {' and '.join(machine_limits.REAL_TIME)}: {why}")
    request = protocol.Update(tuple(arguments.services), changes)
    return called.watch("update", f"/v1/projects/{called.project_name()}/update", request)


def changes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said, by the canonical keys of a service."""
    said = vars(arguments)
    return {key: value for key, value in said.items() if key != "services"}


def cpus(text: str) -> float | None:
    """None for 0."""
    return float(text) or None


def whole(text: str) -> int | None:
    """None for 0 and -1."""
    number = int(text)
    return number if number not in (0, -1) else None


def size(text: str) -> int | None:
    """Bytes; None for 0 and -1."""
    from specs import units

    return (units.parse_bytes(text) or None) if text != "-1" else None


def swap(text: str) -> int | None:
    return NO_SWAP_LIMIT if text == "-1" else size(text)
