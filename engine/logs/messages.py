"""A container's output as others want it: messages of syslog (RFC 3164, RFC 5424), and of the journal. Pure.

Words and order are those of docker's drivers, so that what reads their messages reads ours.
"""

import datetime
import re
import struct
from typing import NamedTuple

from engine.logs.reading import Record
from engine.types.configs import ContainerConfig
from engine.types.parts import Pairs

SEVERITIES = {"stdout": 6, "stderr": 3}  # RFC 5424, 6.2.1: informational, error
DAEMON_NAME = "corral"
_NOT_IN_A_NAME = re.compile(r"[^A-Z0-9]+")


class Source(NamedTuple):
    """Whose output it is. `tag` is filled in; `pid` that of whoever sends it."""

    container_id: str
    name: str
    image: str
    tag: str
    attributes: Pairs
    hostname: str
    pid: int
    facility: int
    format: str


def source_of(uid: str, config: ContainerConfig, hostname: str, pid: int) -> Source:
    forward = config.logging.forward
    assert forward is not None
    tag = filled_in(forward.tag, uid, config)
    return Source(
        uid, config.name, config.image, tag, forward.attributes, hostname, pid, forward.facility, forward.format
    )


def filled_in(tag: str, uid: str, config: ContainerConfig) -> str:
    """With what {{.ID}} and the like stand for."""
    fields = {
        "ID": uid[:12],
        "FullID": uid,
        "Name": config.name,
        "ImageName": config.image,
        "DaemonName": DAEMON_NAME,
    }
    for name, value in fields.items():
        tag = tag.replace(f"{{{{.{name}}}}}", value)
    return tag


# --------------------------------------------------------------------------------------------------------------- syslog


def syslog_of(record: Record, source: Source) -> bytes:
    """One message, without a newline."""
    priority = source.facility * 8 + SEVERITIES.get(record.stream, SEVERITIES["stdout"])
    if source.format.startswith("rfc5424"):
        head = f"<{priority}>1 {_iso(record.time, source.format)} {source.hostname} {source.tag} {source.pid} {source.tag} - "
    else:
        host = f" {source.hostname}" if source.format == "rfc3164" else ""
        head = f"<{priority}>{_stamp(record.time)}{host} {source.tag}[{source.pid}]: "
    return head.encode() + record.text.replace(b"\0", b"")


def _iso(time: str, form: str) -> str:
    """RFC 3339, to the second or the microsecond."""
    return f"{time[:26]}Z" if form == "rfc5424micro" else f"{time[:19]}Z"


def _stamp(time: str) -> str:
    """RFC 3164, 4.1.2: in local time, the day padded with a space."""
    moment = datetime.datetime.fromisoformat(f"{time[:26]}+00:00").astimezone()
    return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S}"


# ------------------------------------------------------------------------------------------------------------- journald


def journal_of(record: Record, source: Source) -> bytes:
    """One datagram of systemd's native journal protocol."""
    fields = {
        **{_field_name(key): value.encode() for key, value in source.attributes},
        "MESSAGE": record.text,
        "PRIORITY": str(SEVERITIES.get(record.stream, SEVERITIES["stdout"])).encode(),
        "CONTAINER_ID": source.container_id[:12].encode(),
        "CONTAINER_ID_FULL": source.container_id.encode(),
        "CONTAINER_NAME": source.name.encode(),
        "CONTAINER_TAG": source.tag.encode(),
        "IMAGE_NAME": source.image.encode(),
        "SYSLOG_IDENTIFIER": source.tag.encode(),
        "SYSLOG_TIMESTAMP": record.time.encode(),
        **({} if record.is_end else {"CONTAINER_PARTIAL_MESSAGE": b"true"}),
    }
    return b"".join(_field(name, value) for name, value in fields.items() if name)


def _field_name(text: str) -> str:
    """Upper case letters, digits and _, of which it does not begin with one."""
    return _NOT_IN_A_NAME.sub("_", text.upper()).lstrip("_0123456789")


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
