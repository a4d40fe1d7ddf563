"""Show what containers use: CPU, memory, network, disk, processes, and how much they have to wait for these.

corral stats                     of all running containers, anew each second; Ctrl-C ends it
corral stats --no-stream web     of the service web, once
corral stats --format json       one JSON object a line (the keys of docker compose, and CPUPressure and so on)

100 % of CPU is one processor. PRESSURE: in how much of the last ten seconds something in the container waited for CPU, memory
and disk. What this machine does not tell is "--".
"""

import argparse
import time
from typing import Any, TextIO

from orchestrator import errors
from orchestrator.command_line import invocation

TABLE = {
    "CONTAINER ID": "ID",
    "NAME": "Name",
    "CPU %": "CPUPerc",
    "MEM USAGE / LIMIT": "MemUsage",
    "MEM %": "MemPerc",
    "NET I/O": "NetIO",
    "BLOCK I/O": "BlockIO",
    "PIDS": "PIDs",
}
PRESSURE = "PRESSURE CPU / MEM / IO"
EVERY_S = 1.0
FIRST_S = 0.5
"""The share of CPU is that of a while; the first rows come after so long."""

UNKNOWN = "--"  # as docker stats
BINARY, DECIMAL = (
    ("B", "KiB", "MiB", "GiB", "TiB", "PiB"),
    ("B", "kB", "MB", "GB", "TB", "PB"),
)  # docker/go-units size.go
ID_LENGTH = 12
Row = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    add("--no-stream", action="store_true", help="show it once")
    add("-a", "--all", action="store_true", help="accepted: what does not run uses nothing")
    add("--no-trunc", action="store_true", help="do not shorten ids")
    add("--format", default="table", metavar="FORMAT", help="table (default), json, or a template")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator.command_line import output

    before = read(called, arguments.services)
    is_drawn = not arguments.no_stream and arguments.format == "table" and output.is_terminal(called.out)
    wait_s = FIRST_S
    while True:
        time.sleep(wait_s)
        try:
            now = read(called, arguments.services)
        except errors.Refused:
            return 0  # the project, or a service of it, was taken down meanwhile
        rows = [row_of(row, before.get(uid), ID_LENGTH if not arguments.no_trunc else None) for uid, row in now.items()]
        if is_drawn:
            draw(called.out, table_of(rows))
        else:
            called.out.write(table_of(rows) if arguments.format == "table" else lines_of(arguments.format, rows))
        called.out.flush()
        if arguments.no_stream:
            return 0
        before, wait_s = now, EVERY_S


def read(called: invocation.Invocation, services: list[str]) -> dict[str, Row]:
    """By uid."""
    from orchestrator import protocol

    answer = called.ask("POST", f"/v1/projects/{called.project_name()}/stats", protocol.Chosen(tuple(services)))
    return {row["uid"]: row for row in answer["containers"]}


def draw(out: TextIO, table: str) -> None:
    """In the place of what was drawn before, without a flicker."""
    out.write("\x1b[H" + table.replace("\n", "\x1b[K\n") + "\x1b[J")


def table_of(rows: list[dict[str, str]]) -> str:
    from orchestrator.command_line import output

    cells = [[*(row[key] for key in TABLE.values()), pressures_of(row)] for row in rows]
    return output.table((*TABLE, PRESSURE), cells)


def pressures_of(row: dict[str, str]) -> str:
    return " / ".join(row[f"{resource}Pressure"] for resource in ("CPU", "Mem", "IO"))


def lines_of(form: str, rows: list[dict[str, str]]) -> str:
    from orchestrator.command_line import templates

    return templates.shown(form, rows, TABLE)


def row_of(now: Row, before: Row | None, id_length: int | None = ID_LENGTH) -> dict[str, str]:
    """With the keys and in the forms of docker."""
    name = now["uid"][:id_length]
    return {
        "BlockIO": _pair(now["read_bytes"], now["written_bytes"], human),
        "CPUPerc": percent(cpu_share(now, before)),
        "CPUPressure": percent(now["cpu_pressure"]),
        "Container": name,
        "ID": name,
        "IOPressure": percent(now["io_pressure"]),
        "MemPerc": percent(_memory_share(now)),
        "MemPressure": percent(now["memory_pressure"]),
        "MemUsage": _pair(now["memory_bytes"], now["memory_limit_bytes"], binary),
        "Name": now["name"],
        "NetIO": _pair(now["received_bytes"], now["sent_bytes"], human),
        "PIDs": UNKNOWN if now["pids"] is None else str(now["pids"]),
        "Service": now["service"],
    }


def cpu_share(now: Row, before: Row | None) -> float | None:
    """Percent of one processor in between; of a run that began in between: nothing yet."""
    if now["cpu_s"] is None or before is None or before["cpu_s"] is None:
        return None
    passed_s = now["at_s"] - before["at_s"]
    return max(now["cpu_s"] - before["cpu_s"], 0.0) / passed_s * 100 if passed_s > 0 else None


def _memory_share(now: Row) -> float | None:
    used, limit = now["memory_bytes"], now["memory_limit_bytes"]
    return used / limit * 100 if used is not None and limit else None


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}%"


def _pair(one: int | None, other: int | None, form: Any) -> str:
    return f"{form(one)} / {form(other)}"


def binary(size_bytes: int | None) -> str:
    """1.5MiB: four digits, by 1024."""
    return _sized(size_bytes, 1024.0, BINARY, 4)


def human(size_bytes: int | None) -> str:
    """1.57MB: three digits, by 1000."""
    return _sized(size_bytes, 1000.0, DECIMAL, 3)


def _sized(size_bytes: int | None, base: float, units: tuple[str, ...], digits: int) -> str:
    if size_bytes is None:
        return UNKNOWN
    size, unit = float(size_bytes), 0
    while size >= base and unit < len(units) - 1:
        size, unit = size / base, unit + 1
    return f"{size:.{digits}g}{units[unit]}"
