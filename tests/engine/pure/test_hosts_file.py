"""Blocks of ours in a hosts file: what else is in it stays as it is, whatever has been done to it."""

import os
import pathlib
import stat
import threading
import time

import pytest

from engine import errors
from engine.hosts import file
from engine.hosts.names import Line

OURS = "0123abcd"
USERS = b"127.0.0.1\tlocalhost\n# a comment\n\n192.168.1.9 printer.lan printer  # upstairs\n"
NN, DN = Line("10.9.0.2", ("namenode.lab", "nn.lab")), Line("10.9.0.3", ("dn-1.lab",))
BLOCK = b"# corral lab begin 0123abcd\n10.9.0.2\tnamenode.lab nn.lab\n10.9.0.3\tdn-1.lab\n# corral lab end 0123abcd\n"
NOBODY: frozenset[str] = frozenset()


def edited(content: bytes, unknown: frozenset[str] = NOBODY, **wanted: tuple[Line, ...]) -> bytes:
    return file.edited(content, OURS, wanted, unknown)


def test_a_block_comes_at_the_end_and_goes_without_a_trace() -> None:
    assert edited(USERS, lab=(NN, DN)) == USERS + BLOCK
    assert edited(USERS + BLOCK, lab=(NN, DN)) == USERS + BLOCK
    assert edited(USERS + BLOCK) == USERS
    assert edited(USERS + BLOCK, lab=()) == USERS
    assert edited(b"") == b""
    assert edited(b"127.0.0.1 localhost", lab=(NN, DN)) == b"127.0.0.1 localhost\n" + BLOCK


def test_it_stays_where_it_stands_and_what_comes_after_it_too() -> None:
    before = b"1.1.1.1 a\n" + BLOCK + b"2.2.2.2 b\n"
    other = (Line("10.9.0.4", ("x.red",)),)
    after = edited(before, lab=(DN,), red=other)
    assert after == (
        b"1.1.1.1 a\n# corral lab begin 0123abcd\n10.9.0.3\tdn-1.lab\n# corral lab end 0123abcd\n2.2.2.2 b\n"
        b"# corral red begin 0123abcd\n10.9.0.4\tx.red\n# corral red end 0123abcd\n"
    )
    assert edited(after, red=other, lab=(DN,)) == after
    assert edited(after) == b"1.1.1.1 a\n2.2.2.2 b\n"


def test_another_corrals_block_and_that_of_a_project_that_is_not_known_now_stay() -> None:
    theirs = BLOCK.replace(b"0123abcd", b"ffffffff")
    assert edited(USERS + theirs + BLOCK) == USERS + theirs
    assert edited(USERS + BLOCK, frozenset({"lab"})) == USERS + BLOCK


@pytest.mark.parametrize(
    ("spoilt", "left"),
    [
        (USERS + BLOCK.partition(b"# corral lab end")[0], USERS),  # its end is cut off
        (USERS + BLOCK.partition(b"# corral lab end")[0] + b"10.0.0.1\tgate.lan\n", USERS + b"10.0.0.1\tgate.lan\n"),
        (USERS + BLOCK.partition(b"\n")[2], USERS),  # or how it began
        (USERS + BLOCK + b"10.0.0.1 gate\n" + BLOCK, USERS + b"10.0.0.1 gate\n"),  # copied
        (USERS + BLOCK.replace(b"10.9.0.3", b"6.6.6.6"), USERS),  # changed
        (USERS + BLOCK.replace(b"\n", b"\r\n"), USERS),  # by an editor of another system
        (USERS + b"# corral lab begin 0123abcd\n" + BLOCK, USERS),
        (USERS + b"# corral lab end 0123abcd", USERS),
    ],
)
def test_a_block_that_was_spoilt_is_put_right_and_goes(spoilt: bytes, left: bytes) -> None:
    assert edited(spoilt) == left
    again = edited(spoilt, lab=(NN, DN))
    assert again.count(BLOCK) == 1
    assert again.replace(BLOCK, b"") == left


# ----------------------------------------------------------------------------------------------------- on the machine


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> float:
    """None, for all but those who look for it; how long it is."""
    patience_s = file.QUIET_S
    monkeypatch.setattr(file, "QUIET_S", 0.0)
    return patience_s


def put(path: pathlib.Path, **wanted: tuple[Line, ...]) -> file.Seen | None:
    return file.put(str(path), OURS, wanted, NOBODY)


def test_mode_and_links_are_kept_and_no_draft_is_left(tmp_path: pathlib.Path) -> None:
    real, link = tmp_path / "real", tmp_path / "hosts"
    real.write_bytes(USERS)
    real.chmod(0o604)
    link.symlink_to(real)
    (tmp_path / f".real.corral-{OURS}").write_text("of one who was killed")
    seen = put(link, lab=(NN, DN))
    assert real.read_bytes() == USERS + BLOCK
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o604
    assert seen == file.seen(str(link))
    inode = real.stat().st_ino
    assert put(link, lab=(NN, DN)) == seen
    assert real.stat().st_ino == inode, "nothing to do is nothing done"
    put(link)
    assert real.read_bytes() == USERS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hosts", "real"]


def test_where_there_is_no_file_one_comes_only_for_a_block(tmp_path: pathlib.Path) -> None:
    put(tmp_path / "hosts")
    assert list(tmp_path.iterdir()) == []
    put(tmp_path / "hosts", lab=(NN, DN))
    assert (tmp_path / "hosts").read_bytes() == BLOCK
    assert stat.S_IMODE((tmp_path / "hosts").stat().st_mode) == 0o644


def test_what_cannot_be_renamed_over_is_written_in_place(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(os, "rename", busy)
    path = tmp_path / "hosts"
    path.write_bytes(USERS)
    inode = path.stat().st_ino
    put(path, lab=(NN, DN))
    assert path.read_bytes() == USERS + BLOCK
    put(path)
    assert path.read_bytes() == USERS
    assert path.stat().st_ino == inode
    assert [each.name for each in tmp_path.iterdir()] == ["hosts"]


def test_who_writes_at_the_same_time_loses_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(USERS)
    real, turns = file.edited, []

    def slowly(*words: object) -> bytes:
        if not turns:
            turns.append(True)
            path.write_bytes(USERS + b"10.0.0.1 added meanwhile\n")
        return real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(file, "edited", slowly)
    put(path, lab=(NN, DN))
    assert path.read_bytes() == USERS + b"10.0.0.1 added meanwhile\n" + BLOCK


def test_who_has_emptied_it_and_has_not_written_yet_loses_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr(file, "QUIET_S", patience)
    path = tmp_path / "hosts"
    path.write_bytes(b"")
    writing = threading.Timer(patience / 2, path.write_bytes, [USERS])
    writing.start()
    ours = put(path, lab=(NN, DN))
    writing.join()
    assert path.read_bytes() == USERS + BLOCK
    began = time.monotonic()
    file.put(str(path), OURS, {"lab": (NN,)}, NOBODY, ours)
    assert time.monotonic() - began < patience, "what we wrote ourselves is no reason to wait"
    assert path.read_bytes() != USERS + BLOCK


def test_who_writes_it_all_the_time_is_named_as_the_reason(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hosts"
    monkeypatch.setattr(file, "QUIET_S", 1.0)
    monkeypatch.setattr(file.time, "sleep", lambda _: path.write_bytes(USERS))
    path.write_bytes(USERS)
    with pytest.raises(errors.EngineError, match="somebody else writes it all the time"):
        put(path, lab=(NN, DN))
    assert path.read_bytes() == USERS


def test_what_is_no_file_is_refused(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "hosts")
    with pytest.raises(errors.EngineError, match="it is no file"):
        put(tmp_path / "hosts", lab=(NN, DN))
    with pytest.raises(errors.EngineError, match="cannot write"):
        put(tmp_path / "no" / "hosts", lab=(NN, DN))
