"""Attacks on who looks after a container's files and processes from outside: by programs, links and modes that are in it."""

import bz2
import gzip
import io
import lzma
import os
import pathlib
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable

import pytest

from tests.e2e.lab import Lab

PACKERS = ("xz", "unxz", "xzcat", "lzma", "pigz", "unpigz", "gzip", "gunzip", "zcat", "bzip2", "bunzip2", "zstd", "tar")
OTHERS = ("sh", "cp", "cat", "ls", "stat", "chmod", "chown", "mkdir", "ps", "top", "nsenter", "python3", "corral")
FOLDERS = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
BUSYBOX = "/bin/busybox"
PRESSES: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.fixture
def mark() -> pathlib.Path:
    """What a trap that is run leaves at the top: of the container, or of the machine."""
    return pathlib.Path(f"/corral-attack-{os.getpid()}")


@pytest.fixture
def trapped(lab: Lab, rootfs: pathlib.Path, mark: pathlib.Path) -> Lab:
    """A lab with a container `a` of an image whose programs say that they were run."""
    image = lab.folder / "image"
    shutil.copytree(rootfs, image, symlinks=True)
    for folder in FOLDERS:
        (image / folder).mkdir(parents=True, exist_ok=True)
        for name in (*PACKERS, *OTHERS):
            trap = image / folder / name
            trap.unlink(missing_ok=True)
            trap.write_text(f"#!{BUSYBOX} sh\necho $0 >> {mark}\nexec {BUSYBOX} sleep 1\n")
            trap.chmod(0o755)
    lab.up(f"services: {{a: {{image: 'rootfs:{image}', command: [{BUSYBOX}, sleep, '1000'], init: true}}}}\n")
    return lab


def ran(lab: Lab, mark: pathlib.Path) -> list[str]:
    """The traps that were run in the container, by a look that runs none."""
    found = lab.exec("a", BUSYBOX, "sh", "-c", f"test ! -e {mark} || {BUSYBOX} cat {mark}").split()
    assert not mark.exists(), mark.read_text()
    return found


def piped(lab: Lab, data: bytes, target: str) -> None:
    with lab.popen("cp", "-", target, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.buffer.write(data)
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize("rests", [False, True])
def test_no_program_of_the_image_is_run_by_a_copy(trapped: Lab, mark: pathlib.Path, rests: bool) -> None:
    """CVE-2026-41567: xz and unpigz were looked up in the container, and run as the machine's root."""
    lab = trapped
    lab.exec("a", "xz")
    assert ran(lab, mark) == ["/usr/local/sbin/xz"], "the trap works"
    lab.exec("a", BUSYBOX, "rm", str(mark))
    buffer = io.BytesIO()
    with tarfile.open(mode="w", fileobj=buffer) as tar:
        tar.add(__file__, "text")
    if rests:
        lab.corral("stop", "-t", "0")
    for suffix, press in PRESSES.items():
        packed = lab.folder / f"some.tar{suffix}"
        packed.write_bytes(press(buffer.getvalue()))
        lab.corral("cp", packed.name, "a:/data/")
        piped(lab, packed.read_bytes(), "a:/tmp")
        lab.corral("cp", "a:/tmp/text", f"text{suffix}")
        assert (lab.folder / f"text{suffix}").read_text() == pathlib.Path(__file__).read_text(), "it was unpacked"
    lab.corral("cp", "-a", "a:/data/.", "all")
    for suffix in PRESSES:
        name = f"some.tar{suffix}"
        assert (lab.folder / "all" / name).read_bytes() == (lab.folder / name).read_bytes()
    lab.corral("cp", "-L", "a:/usr/bin/xz", "trap")
    for command in (("cp", "nothing", "a:/tmp"), ("cp", "a:/nothing", "."), ("cp", "trap", "a:/tmp/no/such")):
        lab.refusal(*command)
    if rests:
        lab.corral("start")
    assert ran(lab, mark) == []


def test_no_program_of_the_image_is_run_by_who_lists_its_processes(trapped: Lab, mark: pathlib.Path) -> None:
    """CVE-2022-1227: top ran the image's ps and nsenter."""
    lab = trapped
    lab.exec("a", "ps")
    assert ran(lab, mark) == ["/usr/local/sbin/ps"], "the trap works"
    lab.exec("a", BUSYBOX, "rm", str(mark))
    assert f"{BUSYBOX} sleep 1000" in lab.out("top")
    assert f"{BUSYBOX} sleep 1000" in lab.out("top", "a")
    for words in (("ps", "-a"), ("stats", "--no-stream"), ("logs",), ("images",)):
        lab.corral(*words)
    assert ran(lab, mark) == []


def modes(folder: pathlib.Path) -> dict[str, tuple[int, int, int, str]]:
    """Of a folder of the machine's and all that is in it."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.stat()
        text = path.read_text() if path.is_file() else ""
        found[str(path)] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, text)
    return found


def hostile(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.gid = kind, link, 0o6777, 1234, 1234
    return info


def archives(outside: pathlib.Path) -> list[list[tarfile.TarInfo]]:
    """Each wants modes for what links lead to, those that are there (`way`, `up`, `file`) or come along."""
    new = hostile("new", tarfile.SYMTYPE, str(outside))
    return [
        *([hostile(name, tarfile.DIRTYPE)] for name in ("way", "up", "file")),
        *([hostile(f"{name}/mine", tarfile.REGTYPE)] for name in ("way", "up")),
        *([hostile("hard", tarfile.LNKTYPE, name), hostile("hard", tarfile.DIRTYPE)] for name in ("file", "way/mine")),
        [new, hostile("new", tarfile.DIRTYPE)],
        [new, hostile("new/mine", tarfile.REGTYPE)],
        [hostile("file", tarfile.REGTYPE)],
    ]


@pytest.mark.parametrize("rests", [False, True])
def test_no_mode_of_the_machines_files_is_changed_by_a_copy(lab: Lab, rests: bool) -> None:
    """CVE-2021-41089: links in the container, and in a folder of the machine's that it was given, lead to the machine's files
    by name; a copy changes modes where they lead inside, if it follows them at all."""
    outside, bound = lab.folder / "outside", lab.folder / "bound"
    outside.mkdir(0o700)
    bound.mkdir()
    (outside / "mine").write_text("the machine's\n")
    (outside / "mine").chmod(0o600)
    (lab.folder / "src").mkdir()
    (lab.folder / "src/mine").write_text("a copy\n")
    (lab.folder / "src/mine").chmod(0o777)
    lab.up("services: {a: {image: IMAGE, command: sleep 1000, init: true, volumes: ['./bound:/bound']}}\n")
    plant = f"ln -s {outside} way; ln -s ../../../../../..{outside} up; ln -s {outside}/mine file"
    lab.exec("a", "sh", "-ec", f"mkdir -p {outside}; for place in /tmp /bound; do cd $place; {plant}; done")
    assert (bound / "way/mine").samefile(outside / "mine"), "the danger is real"
    before = modes(outside)
    if rests:
        lab.corral("stop", "-t", "0")
    for place in ("/tmp", "/bound"):
        for target in ("way", "way/", "up/", "way/mine", "file"):
            for source in ("src/mine", "src"):
                is_to_a_file = target in ("way/mine", "file") and source == "src"
                lab.corral("cp", "-a", source, f"a:{place}/{target}", code=1 if is_to_a_file else 0)
                assert modes(outside) == before, (place, target, source)
        for entries in archives(outside):
            buffer = io.BytesIO()
            with tarfile.open(mode="w", fileobj=buffer) as tar:
                for each in entries:
                    tar.addfile(each, io.BytesIO())
            (lab.folder / "evil.tar").write_bytes(buffer.getvalue())
            with (lab.folder / "evil.tar").open() as file, lab.popen("cp", "-", f"a:{place}", stdin=file) as process:
                process.wait(20)
            assert modes(outside) == before, (place, [each.name for each in entries])
    if rests:
        lab.corral("start")
    assert lab.exec("a", "stat", "-c", "%a", f"{outside}/mine") == "777\n", "that is where they led"
