"""Show the processes of containers, as this machine sees them: its pids, its names of users, what each has used and runs.

corral top          of all containers of the project
corral top web db   of these services
"""

import argparse
import time
from typing import Any

from orchestrator.command_line import invocation

HEADS = ("SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")  # docker compose top, ps -ef
DAY_S = 86400


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import output

    request = protocol.Chosen(tuple(arguments.services))
    answer = called.ask("POST", f"/v1/projects/{called.project_name()}/top", request)
    now = time.time()
    rows = [
        [row["service"], str(row["number"]), *cells_of(process, now)]
        for row in answer["containers"]
        for process in row["processes"]
    ]
    if rows:
        called.out.write(output.table(HEADS, rows))
    return 0


def cells_of(process: dict[str, Any], now: float) -> list[str]:
    """From UID to CMD, in the forms of ps."""
    age = max(now - process["started_at"], 1.0)
    return [
        user_name(process["user"]),
        str(process["pid"]),
        str(process["parent"]),
        str(min(int(process["cpu_s"] / age * 100), 99)),
        started(process["started_at"], now),
        process["terminal"] or "?",
        clock(process["cpu_s"]),
        process["command"],
    ]


def user_name(number: int) -> str:
    """As this machine calls him."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def started(moment: float, now: float) -> str:
    """The time of day; the day, where that was not in the last 24 hours; the year, where that was not in this one."""
    then = time.localtime(moment)
    if now - moment < DAY_S:
        return time.strftime("%H:%M", then)
    return time.strftime("%b%d" if then.tm_year == time.localtime(now).tm_year else "%Y", then)


def clock(seconds: float) -> str:
    """[DAYS-]HH:MM:SS."""
    days, rest = divmod(int(seconds), DAY_S)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text
