"""Make a folder with a lab: a whole cluster of real software, in plain files to read, edit and commit.

    corral init                                           list the labs
    corral init hadoop                                    into ./hadoop
    corral init hadoop ./lab --workers 3 --memory 6g      so many workers, so much memory for all nodes together

What the lab runs on (Java, Hadoop …) is then fetched, once for all labs of this machine, by the lab's own ./prepare.
"""

import argparse
from typing import TYPE_CHECKING

from orchestrator import errors
from orchestrator.command_line import invocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.command_line import labs


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("lab", nargs="?", metavar="LAB", help="which (none: list them)")
    add("folder", nargs="?", metavar="FOLDER", help="where to (default: a folder called like the lab)")
    add("--workers", type=int, metavar="N", help="how many workers")
    add("--memory", metavar="SIZE", help="for all nodes together, as 6g or 4096m")
    add("--no-fetch", action="store_true", help="do not run ./prepare")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from pathlib import Path

    from orchestrator.command_line import labs

    known = labs.all_of_them()
    if arguments.lab is None:
        width = max(map(len, known), default=0)
        called.out.writelines(f"{lab.name:{width}}  {lab.summary}\n" for lab in known.values())
        return 0
    if arguments.lab not in known:
        raise errors.UsageError(f"corral has no lab {arguments.lab!r}", hint=f"there are: {', '.join(known)}")
    lab = known[arguments.lab]
    workers = lab.workers if arguments.workers is None else arguments.workers
    memory = arguments.memory or lab.memory
    nodes_mib = nodes_of(lab, workers, memory)
    target = Path(arguments.folder or lab.name)
    labs.copy(lab, target, workers, memory, nodes_mib)
    called.note(f"{target} is a {lab.name} lab: {workers} workers, {memory} of memory")
    if not arguments.no_fetch and not labs.prepare(target):
        called.note(f"what it runs on is not there yet; run {target}/{labs.PREPARE}")
        return 1
    called.out.write(f"cd {target} && corral up -d --wait\n")
    return 0


def nodes_of(lab: "labs.Lab", workers: int, memory: str) -> "Mapping[str, int]":
    """What each node gets, in MiB, by the variable of the compose file. Raises UsageError."""
    from orchestrator.command_line import labs

    memory_mib = mib_of(memory)
    if not 1 <= workers <= labs.WORKERS_MAX:
        raise errors.UsageError(f"--workers {workers}: 1 to {labs.WORKERS_MAX}")
    if memory_mib > (machine_mib := labs.machine_mib()):
        raise errors.UsageError(f"--memory {memory}: this machine has {machine_mib} MiB")
    return labs.memory_of_nodes(lab, workers, memory_mib)


def mib_of(text: str) -> int:
    from orchestrator.command_line import labs
    from specs import units

    try:
        return units.parse_bytes(text) // labs.MIB
    except ValueError as error:
        raise errors.UsageError(f"--memory {text}: {error}", hint="as 6g or 4096m") from error
