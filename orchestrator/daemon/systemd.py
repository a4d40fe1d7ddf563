"""What the daemon and systemd tell each other: readiness, the log, and that the machine is going down.

sd_notify(3), sd-daemon(3): a datagram to $NOTIFY_SOCKET; lines on standard error that begin with their priority. Where nobody
asks for these, nothing happens.
"""

import logging
import os
import socket

import anyio

from engine import programs

PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # syslog(3)
DEBUG = 7
ANSWER_S = 10.0


def tell(*lines: str) -> None:
    """Tell the service manager, if there is one: READY=1, STATUS=…, STOPPING=1."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            logging.getLogger(__name__).warning("cannot tell the service manager: %s", lines[0])


async def keep_watchdog() -> None:
    """Show for ever that we live, as often as the service manager wants it; return at once if it does not."""
    period_us = int(os.environ.get("WATCHDOG_USEC") or 0)
    while period_us:
        tell("WATCHDOG=1")
        await anyio.sleep(period_us / 2e6)


def log_handler() -> logging.Handler:
    """To standard error: for the journal with priorities, which it takes off; else with the time, which the journal adds."""
    handler = logging.StreamHandler()
    said = os.environ.get("JOURNAL_STREAM", "")
    found = os.fstat(2)
    if said == f"{found.st_dev}:{found.st_ino}":
        handler.setFormatter(JournalFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


class JournalFormatter(logging.Formatter):
    """Each line begins with the record's priority."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in PRIORITIES if record.levelno >= level), DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


async def is_machine_going_down() -> bool:
    """Whether we end because everything does."""
    try:
        with anyio.fail_after(ANSWER_S):
            done = await programs.run(["systemctl", "is-system-running"])
    except (OSError, TimeoutError):
        return False
    return done.out.strip() == "stopping"
