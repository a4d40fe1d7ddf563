"""What the daemon and systemd say to each other, and which unit is whose."""

import logging
import os
import pathlib
import socket

import pytest

from orchestrator import settings
from orchestrator.command_line import units
from orchestrator.daemon import systemd


def test_it_tells_what_it_has_to_tell_in_one_datagram(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.tell("READY=1", "STATUS=serves")
        assert manager.recv(99) == b"READY=1\nSTATUS=serves"


def test_it_tells_an_abstract_address_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"corral-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        systemd.tell("STOPPING=1")
        assert manager.recv(99) == b"STOPPING=1"


def test_where_nobody_listens_nothing_happens(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.tell("READY=1")


def test_the_journal_gets_priorities_on_every_line_and_no_time() -> None:
    formatter = systemd.JournalFormatter("%(name)s: %(message)s")

    def text(level: int, message: str) -> str:
        return formatter.format(logging.LogRecord("engine", level, "", 0, message, None, None))

    assert text(logging.INFO, "a\nb") == "<6>engine: a\n<6>b"
    assert text(logging.WARNING, "a") == "<4>engine: a"
    assert text(logging.CRITICAL, "a") == "<3>engine: a"
    assert text(logging.DEBUG, "a") == "<7>engine: a"


def test_only_standard_error_that_is_the_journal_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert isinstance(systemd.log_handler().formatter, systemd.JournalFormatter)
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    assert not isinstance(systemd.log_handler().formatter, systemd.JournalFormatter)


def test_the_default_places_have_the_unit_that_is_installed_and_others_one_of_their_own() -> None:
    names = [units.name_of(settings.places(environ)) for environ in ({}, {"CORRAL_ROOT": "/a"}, {"CORRAL_ROOT": "/b"})]
    assert names[0] == "corral.service"
    assert len(set(names)) == 3


def test_a_transient_unit_has_the_properties_of_the_packaged_one() -> None:
    text = pathlib.Path(units.__file__).parents[2].joinpath("packaging/corral.service").read_text()
    service = text.partition("[Service]")[2].partition("[Install]")[0].split()
    assert set(service) >= set(units.PROPERTIES)
