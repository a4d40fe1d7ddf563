"""Whatever a tar stream says: a sound copy, or an error in words; nothing outside of its target, and nothing that never ends."""

import contextlib
import gzip
import io
import os
import pathlib
import stat
import tarfile
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine import errors
from engine.copying import unpacking
from tests import fuzzing

BLOCK = tarfile.BLOCKSIZE
TRUSTS = (unpacking.Trust(), unpacking.Trust((-1, -1), True, True, True), unpacking.Trust(None, True, True, True))
NAMES = (
    *(
        "a",
        "d",
        "d/b",
        "d/../../outside/secret",
        "../outside/secret",
        "..",
        ".",
        "",
        "/etc/x",
        "//",
        "d/./e",
        "way/secret",
    ),
    *("way", "x\udcff", "n" * 300, "d/" * 200 + "deep", "planted/secret", "a/b", "-rf", "\r\x1b[2J"),
)
LINKS = (*NAMES, "../outside", "/", "../../../../etc/passwd", "d/../../outside", "planted", "a" * 5000)
KINDS = (*"01234567", "S", "D", "V", "M", "L", "K", "x", "g", "X", "\0", "z", "\xff")
SIZES = (0, 1, 5, 511, 512, 513, 1 << 20, 1 << 33, 1 << 62, (1 << 63) - 1, -1, -512, -(1 << 40))
NUMBERS = (0, 1, 0o644, 0o7777, 0o100644, 65534, 1 << 32, 1 << 40, -1, -(1 << 33))
RECORDS = (
    *("path", "linkpath", "size", "uid", "gid", "mtime", "atime", "uname", "hdrcharset", "comment", "charset"),
    *("GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize", "GNU.sparse.size"),
    *("GNU.sparse.map", "GNU.sparse.numblocks", "GNU.sparse.offset", "GNU.sparse.numbytes"),
    *("SCHILY.xattr.user.a", "SCHILY.xattr.security.capability", "SCHILY.xattr.trusted.x", "SCHILY.xattr.", ""),
)
VALUES = (
    *(
        "",
        "0",
        "1",
        "-1",
        "5",
        "1.5",
        "nan",
        "inf",
        "-inf",
        "1e400",
        str(1 << 62),
        str(1 << 70),
        "9" * 5000,
        "0x10",
        "BINARY",
    ),
    *("0,1", "0,1,2", "0,5,1,5", "5,1,0,1", "1,-1", ",", f"{1 << 60},1", "a\0b", "\ud800", "\n", "=", "٣", *NAMES),
)


def number(value: int, width: int) -> bytes:
    """As GNU tar writes what is too big for octal digits."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    first = b"\x80" if value >= 0 else b"\xff"
    return first + (value % 256 ** (width - 1)).to_bytes(width - 1, "big")


def header(name: str, kind: str, size: int, link: str, mode: int, owner: int, mtime: int, *, is_sound: bool) -> bytes:
    def text(value: str, width: int) -> bytes:
        return value.encode("utf-8", "surrogateescape")[:width].ljust(width, b"\0")

    numbers = number(mode, 8) + number(owner, 8) + number(owner, 8) + number(size, 12) + number(mtime, 12)
    before = text(name, 100) + numbers
    after = kind.encode("latin-1")[:1] + text(link, 100) + b"ustar\x0000" + bytes(64) + number(1, 8) + number(5, 8)
    after = (after + bytes(167)).ljust(BLOCK - 156, b"\0")
    total = sum(before) + sum(after) + 8 * ord(" ") + (0 if is_sound else 1)
    return before + b"%06o\0 " % total + after


def record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode("utf-8", "surrogatepass")
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


bodies = some.one_of(
    some.sampled_from([b"", b"hello", b"x" * 700, bytes(1 << 17), b"2\n0\n1\n5\n1\n", b"9" * 600, b"1\n" * 300]),
    some.binary(max_size=40),
    some.lists(some.tuples(some.sampled_from(RECORDS), some.sampled_from(VALUES)), max_size=4).map(
        lambda pairs: b"".join(record(*pair) for pair in pairs)
    ),
    some.sampled_from(NAMES).map(lambda name: name.encode("utf-8", "surrogateescape") + b"\0"),
)


@some.composite
def entries(draw: some.DrawFn) -> bytes:
    body = draw(bodies)
    is_honest = draw(some.integers(0, 3))
    size = len(body) if is_honest else draw(some.sampled_from(SIZES))
    own = [draw(some.sampled_from(NUMBERS)) for _ in range(3)]
    kind, link = draw(some.sampled_from(KINDS)), draw(some.sampled_from(LINKS))
    is_sound = draw(some.integers(0, 19)) > 0
    return header(draw(some.sampled_from(NAMES)), kind, size, link, *own, is_sound=is_sound) + filled(body)


@some.composite
def spoilt(draw: some.DrawFn) -> bytes:
    """A stream of ours, compressed or not, with some bytes another, or cut."""
    data = bytearray(draw(some.sampled_from([SOUND, gzip.compress(SOUND, mtime=0)])))
    for _ in range(draw(some.integers(0, 4))):
        data[draw(some.integers(0, len(data) - 1))] ^= 1 << draw(some.integers(0, 7))
    return bytes(data[: draw(some.integers(0, len(data)))]) if draw(some.booleans()) else bytes(data)


def sound() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(mode="w", fileobj=buffer, format=tarfile.PAX_FORMAT) as tar:
        for name, kind, link, content in (
            ("d", tarfile.DIRTYPE, "", b""),
            ("d/b", tarfile.REGTYPE, "", b"y" * 700),
            ("d/é" + "x" * 120, tarfile.REGTYPE, "", b"long"),
            ("link", tarfile.SYMTYPE, "d/b", b""),
            ("twin", tarfile.LNKTYPE, "d/b", b""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mtime = kind, link, len(content), 1.5
            info.pax_headers = {"SCHILY.xattr.user.a": "1"} if content else {}
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


SOUND = sound()


def seen(folder: pathlib.Path) -> dict[str, object]:
    """All that is there, as somebody who is outside of the copy sees it."""
    found: dict[str, object] = {}
    for path in (folder, *folder.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = state.st_mode, state.st_uid, state.st_nlink, state.st_mtime_ns, state.st_ctime_ns, content
    return found


def inside(top: pathlib.Path) -> Iterator[tuple[pathlib.Path, os.stat_result]]:
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            path = pathlib.Path(folder, name)
            yield path, path.lstat()


def leads_outside(path: pathlib.Path, top: pathlib.Path) -> bool:
    return not os.path.normpath(path.parent / os.readlink(path)).startswith(str(top))


def laid(data: bytes, trust: unpacking.Trust, names: dict[str, str]) -> None:
    """Into a target beside which there is something to be had, and in which there are links to it."""
    with tempfile.TemporaryDirectory() as place:
        top, outside = pathlib.Path(place, "top"), pathlib.Path(place, "outside")
        top.mkdir()
        outside.mkdir()
        (outside / "secret").write_text("the machine's")
        (top / "planted").symlink_to(outside)
        before = seen(outside), set(os.listdir(place))
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(errors.EngineError):
                unpacking.Unpacker(descriptor, trust, **names).unpack(io.BytesIO(data))
        finally:
            os.close(descriptor)
        assert (seen(outside), set(os.listdir(place))) == before
        for path, state in inside(top):
            assert stat.S_IFMT(state.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK), path
            assert state.st_blocks * 512 <= len(data) + (1 << 20), f"more than the stream has: {path}"
            if not trust.any_links and path.is_symlink() and path.name != "planted":
                assert not leads_outside(path, top)
            if not trust.set_ids:
                assert not stat.S_ISREG(state.st_mode) or not state.st_mode & 0o7000


wheres = some.sampled_from([{}, {}, {"base": ".", "called": "new"}, {"base": "d", "called": "new"}])


@pytest.mark.timeout(60 * fuzzing.TIMES)
@fuzzing.effort(250)
@given(some.lists(entries(), max_size=5).map(b"".join), some.sampled_from(TRUSTS), wheres)
def test_entries_of_somebody_who_means_ill(data: bytes, trust: unpacking.Trust, names: dict[str, str]) -> None:
    laid(data + bytes(2 * BLOCK), trust, names)


@pytest.mark.timeout(60 * fuzzing.TIMES)
@fuzzing.effort(150)
@given(spoilt(), some.sampled_from(TRUSTS), wheres)
def test_a_stream_that_was_spoilt_on_its_way(data: bytes, trust: unpacking.Trust, names: dict[str, str]) -> None:
    laid(data, trust, names)


def test_what_is_not_spoilt_is_whole(tmp_path: pathlib.Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    unpacking.Unpacker(descriptor, unpacking.Trust()).unpack(io.BytesIO(SOUND))
    os.close(descriptor)
    assert (tmp_path / "link").read_bytes() == (tmp_path / "twin").read_bytes() == b"y" * 700


@pytest.mark.parametrize("kind", ["x", "g", "L", "K"])
def test_headers_about_headers_without_end(kind: str) -> None:
    one = header("a", kind, 12, "", 0, 0, 0, is_sound=True) + filled(b"12 path=abc\n")
    with pytest.raises(errors.EngineError, match="cannot read the tar stream"):
        unpacking.Unpacker(-1, unpacking.Trust()).unpack(io.BytesIO(one * 5000))


@pytest.mark.parametrize(("name", "kind"), [("/absolute", "0"), ("a", "V")])
def test_what_is_left_out_is_not_looked_for_beyond_the_end(tmp_path: pathlib.Path, name: str, kind: str) -> None:
    data = header(name, kind, 1 << 62, "", 0o644, 0, 0, is_sound=True) + bytes(2 * BLOCK)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(errors.EngineError, match="unexpected end of data"):
        unpacking.Unpacker(descriptor, unpacking.Trust()).unpack(io.BytesIO(data))
    os.close(descriptor)


def test_a_file_of_holes_takes_no_time_however_long_it_is(tmp_path: pathlib.Path) -> None:
    length = 1 << 42
    records = {"GNU.sparse.size": str(length), "GNU.sparse.numblocks": "1", "GNU.sparse.map": f"{length - 5},5"}
    pax = b"".join(record(*pair) for pair in records.items())
    data = header("a", "x", len(pax), "", 0, 0, 0, is_sound=True) + filled(pax)
    data += header("big", "0", 5, "", 0o644, 0, 0, is_sound=True) + filled(b"hello") + bytes(2 * BLOCK)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    unpacking.Unpacker(descriptor, unpacking.Trust()).unpack(io.BytesIO(data))
    os.close(descriptor)
    assert (tmp_path / "big").stat().st_size == length
    with (tmp_path / "big").open("rb") as file:
        file.seek(-7, os.SEEK_END)
        assert file.read() == b"\0\0hello"
