"""The options of a volume in the words of the kernel."""

import pytest

from engine import backings, errors
from engine.process import syscalls, wire
from engine.types.configs import VolumeConfig
from engine.types.parts import Backing


def filesystem_of(kind: str, *options: str) -> wire.Filesystem:
    return backings.filesystem_of(VolumeConfig("p_v", "p", "v", backing=Backing(kind, "there", options)))


def test_what_is_the_mounts_and_what_is_the_file_systems_own() -> None:
    found = filesystem_of(
        "ext4", "noatime", "nosuid", "suid", "ro", "rw", "defaults", "errors=remount-ro", "data=ordered"
    )
    assert found.attributes == 0x10 | syscalls.MOUNT_ATTR_RDONLY
    assert found.options == (("ro", ""), ("errors", "remount-ro"), ("data", "ordered"))


def test_a_bind_that_is_read_only_has_no_options_of_its_own() -> None:
    assert filesystem_of("bind", "ro") == wire.Filesystem("bind", "there", syscalls.MOUNT_ATTR_RDONLY, ())


def test_a_servers_name_becomes_its_address() -> None:
    found = filesystem_of("nfs", "addr=localhost", "vers=4.2", "soft")
    assert found.options[0] in (("addr", "127.0.0.1"), ("addr", "::1"))
    assert found.options[1:] == (("vers", "4.2"), ("soft", ""))


def test_a_server_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise OSError("no such name")

    monkeypatch.setattr("socket.getaddrinfo", nobody)
    with pytest.raises(errors.EngineError, match=r"cannot mount volume p_v: nobody knows the address of no\.invalid"):
        filesystem_of("nfs", "addr=no.invalid")


def test_what_is_not_there_is_refused() -> None:
    config = VolumeConfig("p_v", "p", "v", backing=Backing("bind", "/no/such/folder"))
    with pytest.raises(errors.TerminalEngineError, match="there is no directory /no/such/folder"):
        backings.check(config)
