"""A container's output in the words of syslog and the journal."""

import dataclasses

import pytest

from engine.logs import messages, reading
from engine.types.configs import ContainerConfig
from engine.types.parts import Forward, Logging

UID = "0123456789abcdef" * 4
LINE = reading.Record("2025-03-04T12:00:00.123456789Z", "stderr", True, b"some text")


def source(**fields: object) -> messages.Source:
    forward = dataclasses.replace(Forward("syslog"), **fields)  # type: ignore[arg-type]
    config = ContainerConfig("p-a-1", "p", "a", 1, "a", "a", "host", logging=Logging(forward=forward))
    return messages.source_of(UID, config, "machine", 42)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("", b"<27>Mar  4 12:00:00 0123456789ab[42]: some text"),
        ("rfc3164", b"<27>Mar  4 12:00:00 machine 0123456789ab[42]: some text"),
        ("rfc5424", b"<27>1 2025-03-04T12:00:00Z machine 0123456789ab 42 0123456789ab - some text"),
        ("rfc5424micro", b"<27>1 2025-03-04T12:00:00.123456Z machine 0123456789ab 42 0123456789ab - some text"),
    ],
)
def test_each_format_of_syslog(form: str, expected: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert messages.syslog_of(LINE, source(format=form)) == expected


def test_a_tag_is_filled_in() -> None:
    assert source(tag="{{.Name}}/{{.FullID}}/{{.ImageName}}/{{.DaemonName}}").tag == f"p-a-1/{UID}/host/corral"


def test_the_journal_takes_any_bytes_and_knows_a_part_of_a_line() -> None:
    part = reading.Record(LINE.time, "stdout", False, b"two\nlines")
    found = messages.journal_of(part, source(driver="journald", attributes=(("1_a-b", "v"), ("...", "x"))))
    assert b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n" in found
    assert b"CONTAINER_PARTIAL_MESSAGE=true\n" in found
    assert found.startswith(b"A_B=v\nMESSAGE")
