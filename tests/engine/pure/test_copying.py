"""Trees as tar streams and back: what is laid down, and what is not, whatever the stream says."""

import contextlib
import errno
import io
import os
import pathlib
import stat
import tarfile
from collections.abc import Callable, Iterator

import pytest

from engine import errors
from engine.copying import attributes, packing, placing, unpacking
from engine.copying.placing import Where

CAREFUL, TRUSTING = unpacking.Trust(), unpacking.Trust((-1, -1), True, True, True)


@pytest.fixture
def handles() -> Iterator[int]:
    descriptor = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"", **more: int
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info


def archive(*entries: tarfile.TarInfo) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(mode="w", fileobj=buffer) as tar:
        for each in entries:
            tar.addfile(each, io.BytesIO(b"x" * each.size))
    return io.BytesIO(buffer.getvalue())


def unpack(top: pathlib.Path, stream: io.BytesIO, trust: unpacking.Trust = CAREFUL, **more: str) -> list[str]:
    """The names of what was left out."""
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        unpacker = unpacking.Unpacker(descriptor, trust, **more)
        unpacker.unpack(stream)
    finally:
        os.close(descriptor)
    return [name for name, _ in unpacker.notes]


def pack(path: pathlib.Path, base: str, handles: int) -> tuple[io.BytesIO, list[tuple[str, str]]]:
    buffer = io.BytesIO()
    packer = packing.Packer(buffer.write, handles)
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    packer.pack(place, base)
    os.close(place)
    return io.BytesIO(buffer.getvalue()), packer.notes


@pytest.mark.parametrize(
    ("path", "base", "asserts"),
    [
        ("/a/b", "b", False),
        ("b", "b", False),
        ("/a/b/", "b", True),
        ("/a/b/.", ".", True),
        (".", ".", True),
        ("/", ".", True),
        ("..", "..", False),
        (".b", ".b", False),
    ],
)
def test_what_a_path_means(path: str, base: str, asserts: bool) -> None:
    assert (placing.base_of(path), placing.asserts_directory(path)) == (base, asserts)


@pytest.mark.parametrize(
    ("path", "exists", "is_directory", "from_directory", "expected"),
    [
        ("d", True, True, True, Where.INTO),
        ("d", True, True, False, Where.INTO),
        ("f", True, False, False, Where.AS),
        ("f", True, False, True, None),
        ("f/", True, False, False, None),
        ("n", False, False, True, Where.AS),
        ("n/", False, False, True, Where.AS),
        ("n", False, False, False, Where.AS),
        ("n/", False, False, False, None),
    ],
)
def test_where_a_copy_goes(
    path: str, exists: bool, is_directory: bool, from_directory: bool, expected: Where | None
) -> None:
    given = {"exists": exists, "is_directory": is_directory, "from_directory": from_directory}
    if expected:
        assert placing.place(path, **given) is expected
    else:
        with pytest.raises(errors.EngineError, match=path):
            placing.place(path, **given)


def test_extended_attributes_are_in_the_stream_and_kept(tmp_path: pathlib.Path, handles: int) -> None:
    (source := tmp_path / "source").mkdir()
    (target := tmp_path / "target").mkdir()
    (source / "file").write_text("x")
    try:
        os.setxattr(source / "file", "user.text", "grün\n=".encode())
    except OSError as error:
        pytest.skip(f"{tmp_path} has no attributes: {error.strerror}")
    os.setxattr(source / "file", "user.bytes", bytes(range(256)))
    os.setxattr(source / "file", "user.empty", b"")
    os.setxattr(source, "user.of.a.directory", b"1")
    stream, notes = pack(source, "source", handles)
    assert notes == []
    with tarfile.open(fileobj=stream) as tar:
        headers = {member.name: set(member.pax_headers) for member in tar}
    assert headers["source"] == {"SCHILY.xattr.user.of.a.directory"}
    assert headers["source/file"] >= {"SCHILY.xattr.user.bytes", "SCHILY.xattr.user.text"}
    stream.seek(0)
    assert unpack(target, stream, base="source", called="copy") == []
    copy = target / "copy"
    assert {name: os.getxattr(copy / "file", name) for name in os.listxattr(copy / "file")} == {
        "user.bytes": bytes(range(256)),
        "user.empty": b"",
        "user.text": "grün\n=".encode(),
    }
    assert os.listxattr(copy) == ["user.of.a.directory"]


def test_only_attributes_of_users_are_taken_from_a_stream(tmp_path: pathlib.Path) -> None:
    member = entry("file")
    member.pax_headers = {
        f"SCHILY.xattr.{name}": "x"
        for name in ("user.fine", "security.capability", "trusted.overlay.opaque", "security.selinux", "userfine", "")
    } | {"comment": "x", "user.no": "x"}
    given: list[str] = []

    def setxattr(_: int, name: str, value: bytes) -> None:
        given.append(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "setxattr", setxattr)
        for capabilities in (False, True):
            given.clear()
            assert attributes.write(0, member, capabilities=capabilities) == ""
            assert given == ["user.fine", *(["security.capability"] if capabilities else [])]


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EPERM, errno.ENOSPC])
def test_a_file_system_without_attributes_is_no_error_and_one_without_room_is_told(number: int) -> None:
    member = entry("file")
    member.pax_headers = {"SCHILY.xattr.user.x": "x"}

    def setxattr(_: int, name: str, value: bytes) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "setxattr", setxattr)
        said = attributes.write(0, member, capabilities=True)
    assert said == ("its attribute user.x cannot be kept: No space left on device" if number == errno.ENOSPC else "")


def test_attributes_have_bounds(tmp_path: pathlib.Path) -> None:
    file = os.open(tmp_path, os.O_RDONLY)
    names = [f"user.{number}" for number in range(40)] + ["user.a=b"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listxattr", lambda _: names)
        patch.setattr(os, "getxattr", lambda *_: bytes(1 << 16))
        found, why = attributes.read(file)
        assert 10 < len(found) < 17
        assert why == "its extended attributes are more than 1 MiB"
        patch.setattr(os, "getxattr", lambda *_: b"x")
        found, why = attributes.read(file)
        assert (len(found), why) == (40, "tar has no form for its attribute user.a=b")
    os.close(file)


def test_a_tree_comes_back_as_it_was(tmp_path: pathlib.Path, handles: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    target.mkdir()
    (source / "file").write_bytes(os.urandom(3 << 20))
    (source / ("long" * 40)).write_text("x")
    os.link(source / "file", source / "sub/twin")
    (source / "sub/link").symlink_to("../file")
    (source / "sub").chmod(0o500)
    os.utime(source / "sub", (1e9, 1e9))
    stream, notes = pack(source, "source", handles)
    assert notes == []
    assert unpack(target, stream, base="source", called="copy") == []
    copy = target / "copy"
    assert (copy / "sub/link").read_bytes() == (source / "file").read_bytes()
    assert (copy / ("long" * 40)).read_text() == "x"
    assert (copy / "file").samefile(copy / "sub/twin")
    assert ((copy / "sub").stat().st_mode & 0o777, (copy / "sub").stat().st_mtime) == (0o700, 1e9)


def test_holes_stay_holes(tmp_path: pathlib.Path, handles: int) -> None:
    (tmp_path / "target").mkdir()
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 << 20)
    stream, _ = pack(tmp_path / "big", "big", handles)
    unpack(tmp_path / "target", stream)
    found = (tmp_path / "target/big").stat()
    assert (found.st_size, found.st_blocks) == (64 << 20, 0)


def test_nothing_that_acts_when_it_is_opened_is_opened(tmp_path: pathlib.Path, handles: int) -> None:
    os.mkfifo(tmp_path / "fifo")  # whose open for reading would wait for ever, or be seen by who writes
    writer = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
    stream, _ = pack(tmp_path, "t", handles)
    os.close(writer)
    with tarfile.open(fileobj=stream) as tar:
        assert tar.getmember("t/fifo").isfifo()


def test_a_file_that_changes_while_it_is_read_keeps_the_stream_whole(tmp_path: pathlib.Path, handles: int) -> None:
    path = tmp_path / "shrinks"
    path.write_bytes(b"x" * (2 << 20))
    buffer = io.BytesIO()

    def write(data: bytes) -> None:
        buffer.write(data)
        os.truncate(path, 100)

    packer = packing.Packer(write, handles)
    place = os.open(path, os.O_PATH)
    packer.pack(place, "shrinks")
    os.close(place)
    assert packer.notes == [("shrinks", "became shorter while it was read: its end is zeros")]
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        assert tar.getmember("shrinks").size == 2 << 20


OUTSIDE = [
    entry("../escape"),
    entry("/escape"),
    entry("a/../../escape"),
    entry("link", tarfile.SYMTYPE, "/etc/passwd"),
    entry("link", tarfile.SYMTYPE, "../outside"),
    entry("sub/link", tarfile.SYMTYPE, "../../outside"),
    entry("link", tarfile.SYMTYPE, "better/../outside"),  # where `better` is to be a link that leads upwards
    entry("hard", tarfile.LNKTYPE, "../outside"),
    entry("hard", tarfile.LNKTYPE, "/etc/passwd"),
    entry("hard", tarfile.LNKTYPE, "nothing"),
    entry("device", tarfile.CHRTYPE, devmajor=1, devminor=5),
    entry("device", tarfile.BLKTYPE, devmajor=8, devminor=0),
    entry("fifo", tarfile.FIFOTYPE),
]


@pytest.mark.parametrize("hostile", OUTSIDE, ids=lambda each: f"{each.name} {each.linkname}")
@pytest.mark.parametrize("is_renamed", [False, True])
def test_what_leads_outside_is_left_out_and_the_rest_is_not(
    tmp_path: pathlib.Path, hostile: tarfile.TarInfo, is_renamed: bool
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "outside").write_text("mine")
    more = {"base": ".", "called": "new"} if is_renamed else {}
    assert unpack(top, archive(entry("good"), hostile, entry("better")), **more) == [hostile.name]
    where = top / "new" if is_renamed else top
    assert {path.name for path in where.rglob("*")} - {"sub"} == {"good", "better"}
    assert {path.name for path in tmp_path.iterdir()} == {"top", "outside"}
    assert (tmp_path / "outside").read_text() == "mine"


def test_links_that_lead_out_of_the_copy_through_each_other_are_left_out(tmp_path: pathlib.Path) -> None:
    """Each name of such a link is inside, and `..` after it is not where it would be of a directory."""
    (top := tmp_path / "top").mkdir()
    (tmp_path / "outside").write_text("mine")
    up = entry("p/q/up", tarfile.SYMTYPE, "../..")
    out = entry("out", tarfile.SYMTYPE, "p/q/up/../outside")
    fine = entry("fine", tarfile.SYMTYPE, "p/q/up/good")
    assert unpack(top, archive(entry("good"), up, out, fine)) == ["out"]
    assert (top / "fine").samefile(top / "good")


@pytest.mark.parametrize("trust", [CAREFUL, TRUSTING])
def test_nothing_is_written_through_a_link_that_was_there_or_came_along(
    tmp_path: pathlib.Path, trust: unpacking.Trust
) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    (outside / "file").write_text("mine")
    (top / "planted").symlink_to(outside)
    (top / "file").symlink_to(outside / "file")
    unpack(top, archive(entry("file", content=b"x")), trust)
    assert not (top / "file").is_symlink(), "it is replaced, not written to"
    for hostile in (entry("planted/new", content=b"x"), entry("planted", tarfile.DIRTYPE)):
        with pytest.raises(errors.EngineError, match="cannot copy planted"):
            unpack(top, archive(hostile), trust)
    if trust is TRUSTING:
        with pytest.raises(errors.EngineError, match="cannot copy way/new"):
            unpack(top, archive(entry("way", tarfile.SYMTYPE, str(outside)), entry("way/new")), trust)
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "mine"


class Interrupted(io.BytesIO):
    """A stream whose reader is interrupted once, when so many bytes have been read."""

    def __init__(self, data: bytes, after_bytes: int, happens: Callable[[], object]) -> None:
        super().__init__(data)
        self._after_bytes, self._happens = after_bytes, happens
        self.happened = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._after_bytes and not self.happened:
            self.happened = True
            self._happens()
        return super().read(size)


def condition(folder: pathlib.Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time and content of a folder and of all in it."""
    return {
        str(path): (
            stat.S_IMODE(path.stat().st_mode),
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize("trust", [CAREFUL, TRUSTING])
@pytest.mark.parametrize("after_kib", [50, 250], ids=["before its second file", "before it gets its mode"])
def test_a_directory_that_is_swapped_for_a_link_meanwhile_changes_nothing_where_it_leads(
    tmp_path: pathlib.Path, trust: unpacking.Trust, after_kib: int
) -> None:
    """CVE-2018-15664, CVE-2021-41089, CVE-2024-12718: neither a file, nor a mode, nor a time."""
    (top := tmp_path / "top").mkdir()
    (outside := tmp_path / "outside").mkdir(0o700)
    for name in ("a", "b"):
        (outside / name).write_text("mine")
        (outside / name).chmod(0o600)
    before = condition(outside)

    def swap() -> None:
        (top / "d").rename(top / "aside")
        (top / "d").symlink_to(outside)

    files = [entry(name, content=bytes(100 << 10), mode=0o777, mtime=1) for name in ("d/a", "d/b", "z")]
    made = archive(entry("d", tarfile.DIRTYPE, mode=0o777, mtime=1), *files).getvalue()
    stream = Interrupted(made, after_kib << 10, swap)
    if after_kib == 50:
        with pytest.raises(errors.EngineError, match="cannot copy d/b"):
            unpack(top, stream, trust)
    else:
        assert unpack(top, stream, trust) == []
        assert {path.name for path in (top / "aside").iterdir()} == {"a", "b"}, "until then all was well"
    assert stream.happened
    assert condition(outside) == before


@pytest.mark.parametrize("trust", [CAREFUL, TRUSTING])
def test_no_mode_is_given_through_a_link_of_any_kind(tmp_path: pathlib.Path, trust: unpacking.Trust) -> None:
    """CVE-2021-32760, CVE-2026-17106, CVE-2025-11395: links, and hard links to them, that a later entry has a mode for."""
    (outside := tmp_path / "outside").mkdir(0o700)
    (outside / "file").write_text("mine")
    (outside / "file").chmod(0o600)
    before = condition(outside)
    file = str(outside / "file")
    soft, hard = entry("soft", tarfile.SYMTYPE, file), entry("hard", tarfile.LNKTYPE, "soft")
    way = entry("way", tarfile.SYMTYPE, str(outside))
    for number, hostile in enumerate(
        (
            (soft, entry("soft", content=b"x", mode=0o777)),
            (soft, hard, entry("hard", content=b"x", mode=0o777)),
            (entry("hard", tarfile.LNKTYPE, file), entry("hard", mode=0o777)),
            (way, entry("way", tarfile.DIRTYPE, mode=0o777)),
            (way, entry("hard", tarfile.LNKTYPE, "way/file"), entry("hard", mode=0o777)),
            (way, entry("way/file", mode=0o777)),
        )
    ):
        (top := tmp_path / str(number)).mkdir()
        with contextlib.suppress(errors.EngineError):
            unpack(top, archive(*hostile, entry("way/new", mode=0o777)), trust)
        assert condition(outside) == before, hostile


@pytest.mark.parametrize("trust", [CAREFUL, TRUSTING])
def test_links_too_long_to_resolve_lead_nowhere(tmp_path: pathlib.Path, trust: unpacking.Trust) -> None:
    """CVE-2025-4517, CVE-2025-4138: realpath gives up beyond PATH_MAX, and tarfile's filters believed what it had by then."""
    (top := tmp_path / "top").mkdir()
    (outside := tmp_path / "outside").mkdir(0o700)
    (outside / "flag").write_text("mine")
    before = condition(outside)
    deep, entries, steps = "", [], "abcdefghijklmnop"
    for step in steps:
        entries += [entry(f"{deep}{'d' * 247}", tarfile.DIRTYPE), entry(f"{deep}{step}", tarfile.SYMTYPE, "d" * 247)]
        deep += "d" * 247 + "/"
    long = "/".join(steps) + "/" + "l" * 254
    entries += [
        entry(long, tarfile.SYMTYPE, "../" * len(steps)),
        entry("escape", tarfile.SYMTYPE, long + "/../outside"),
        entry("flag", tarfile.LNKTYPE, "escape/flag"),
        entry("flag", content=b"x", mode=0o777),
        entry("escape/flag", content=b"x", mode=0o777),
        entry("escape", tarfile.DIRTYPE, mode=0o777),
    ]
    for number in range(len(entries)):
        with contextlib.suppress(errors.EngineError):
            unpack(top, archive(*entries[number:]), trust)
    assert condition(outside) == before
    if trust is CAREFUL:
        assert not (top / "escape").is_symlink()


@pytest.mark.parametrize("size", [-512, -1024, -(1 << 40)])
@pytest.mark.parametrize("is_told_by_pax", [False, True])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, b"Z"])
def test_an_entry_of_less_than_nothing_ends_the_reading(
    tmp_path: pathlib.Path, size: int, is_told_by_pax: bool, kind: bytes
) -> None:
    """CVE-2025-8194: whose end is before its beginning, so that it is read again for ever."""
    hostile = entry("negative", kind)
    if is_told_by_pax:
        hostile.pax_headers = {"size": str(size)}
        data = hostile.tobuf(tarfile.PAX_FORMAT)
    else:
        header = bytearray(hostile.tobuf(tarfile.GNU_FORMAT))
        header[124:136] = size.to_bytes(12, "big", signed=True)
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:512]))
        data = bytes(header)
    with pytest.raises(errors.EngineError, match="cannot read the tar stream"):
        unpack(tmp_path, io.BytesIO(archive(entry("good")).getvalue()[:512] + data + archive(entry("z")).getvalue()))


def test_modes_are_careful_unless_told(tmp_path: pathlib.Path) -> None:
    for name, trust, expected in (("careful", CAREFUL, 0o755), ("trusting", TRUSTING, 0o6777)):
        unpack(tmp_path, archive(entry(name, mode=0o6777)), trust)
        assert (tmp_path / name).stat().st_mode & 0o7777 == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"no tar", b"\x1f\x8b broken", b"\x1f\x8b\x08", archive(entry("a", content=b"y" * 900)).getvalue()[:700]],
)
def test_what_is_no_archive_is_an_error_in_words(tmp_path: pathlib.Path, data: bytes) -> None:
    with pytest.raises(errors.EngineError, match="cannot read the tar stream"):
        unpack(tmp_path, io.BytesIO(data))


def test_a_file_does_not_replace_a_directory_nor_the_other_way_round(tmp_path: pathlib.Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    for hostile in (entry("d"), entry("f", tarfile.DIRTYPE)):
        with pytest.raises(errors.EngineError, match="cannot replace"):
            unpack(tmp_path, archive(hostile))
