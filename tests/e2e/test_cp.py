"""`corral cp`: what is copied is there, exactly where `docker cp` would put it, and nothing anywhere else."""

import io
import os
import pathlib
import subprocess
import tarfile
import threading

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

MIB = 1 << 20


def one(*lines: str, command: str = "sleep 1000") -> str:
    return "\n    ".join(["services:\n  a:", "image: IMAGE", f"command: {command}", "init: true", *lines]) + "\n"


@pytest.fixture(params=["running", "stopped", "made"])
def at_rest(request: pytest.FixtureRequest, lab: Lab) -> Lab:
    """A lab whose container `a` runs, has run, or never ran."""
    if request.param == "made":
        lab.up(
            one("depends_on: {gate: {condition: service_completed_successfully}}")
            + "  gate: {image: IMAGE, init: true, command: sleep 1000}\n",
            "--no-deps",
            "gate",
        )
        lab.write(lab.folder.joinpath("compose.yaml").read_text())
        with lab.popen("up", "-d", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
            eventually(lambda: lab.states().get("a-1") == "created")
            up.terminate()
    else:
        lab.up(one())
        if request.param == "stopped":
            lab.corral("stop", "-t", "0")
    return lab


def tree(lab: Lab, *paths: str) -> None:
    """Make files below the lab's folder; one that ends in / is a directory."""
    for path in paths:
        place = lab.folder / path
        (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            place.write_text(f"this is {path}\n")


def listed(folder: pathlib.Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def names(lab: Lab, path: str) -> set[str]:
    """What is in the container, as a tar stream tells."""
    with lab.popen("cp", f"a:{path}", "-", stdout=subprocess.PIPE) as process:
        out = process.stdout
        assert out
        with tarfile.open(mode="r|", fileobj=out.buffer) as tar:
            return {member.name for member in tar}


# ----------------------------------------------------------------------------------------------------- where things go


def test_a_file_goes_in_and_comes_out_whatever_the_container_does(at_rest: Lab) -> None:
    lab = at_rest
    tree(lab, "hello")
    lab.corral("cp", "hello", "a:/tmp/greeting")
    lab.corral("cp", "a:/tmp/greeting", "back")
    assert (lab.folder / "back").read_text() == "this is hello\n"
    lab.corral("cp", "hello", "a:tmp")
    assert "tmp/hello" in names(lab, "/tmp")
    lab.corral("cp", "a:/data/from-image", ".")
    assert (lab.folder / "from-image").read_text() == "image\n"


def test_directories_follow_the_rules_of_docker_inward(lab: Lab) -> None:
    lab.up(one())
    tree(lab, "src/x", "src/sub/y")
    lab.corral("cp", "src", "a:/new")
    assert lab.exec("a", "sh", "-c", "cd /new && find . | sort").split() == [".", "./sub", "./sub/y", "./x"]
    lab.corral("cp", "src", "a:/new")
    assert lab.exec("a", "ls", "/new").split() == ["src", "sub", "x"]
    lab.exec("a", "mkdir", "/other")
    lab.corral("cp", "src/.", "a:/other/")
    assert lab.exec("a", "ls", "/other").split() == ["sub", "x"]
    lab.corral("cp", "src/.", "a:/third")
    assert lab.exec("a", "ls", "/third").split() == ["sub", "x"]
    lab.corral("cp", "src/", "a:/other")
    assert lab.exec("a", "ls", "/other").split() == ["src", "sub", "x"]


def test_directories_follow_the_rules_of_docker_outward(lab: Lab) -> None:
    lab.up(one())
    lab.exec("a", "sh", "-c", "mkdir -p /src/sub && touch /src/x /src/sub/y && ln -s /src /way")
    lab.corral("cp", "a:/src", "new")
    assert listed(lab.folder / "new") == {"sub", "sub/y", "x"}
    lab.corral("cp", "a:/src", "new")
    assert listed(lab.folder / "new") == {"sub", "sub/y", "x", "src", "src/x", "src/sub", "src/sub/y"}
    for source, target in (("a:/src/.", "dots"), ("a:/way/", "slash"), ("a:src/sub/..", "up")):
        (lab.folder / target).mkdir()
        lab.corral("cp", source, target)
    assert listed(lab.folder / "dots") == {"sub", "sub/y", "x"}
    assert listed(lab.folder / "up") == {"src", "src/x", "src/sub", "src/sub/y"}
    assert listed(lab.folder / "slash") == {"way", "way/x", "way/sub", "way/sub/y"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("src", "a:/etc/passwd"), "a directory to /etc/passwd"),
        (("src/x", "a:/nowhere/"), "there is no such directory"),
        (("src/x", "a:/nowhere/deep"), "/nowhere: there is no such file or directory"),
        (("src/x", "a:/etc/passwd/"), "it is no directory"),
        (("nothing", "a:/tmp"), "cannot copy nothing: no such file"),
        (("a:/nothing", "."), "cannot copy /nothing: there is no such file or directory"),
        (("a:/etc/passwd/", "."), "cannot copy /etc/passwd/: not a directory"),
        (("a:/etc", "src/x"), "cannot copy a directory to src/x: it is a file"),
        (("a:/etc/passwd", "nowhere/"), "there is no such directory"),
        (("a:/etc/passwd", "nowhere/deep"), "no such file or directory"),
        (("a:/etc", "a:/tmp"), "from a container to a container"),
        (("src", "dst"), "neither is in a container"),
        (("b:/etc", "."), "no such service: b"),
        (("--index", "2", "a:/etc", "."), "service a has no container 2"),
    ],
)
def test_what_cannot_be_copied_is_refused(corrals: object, lab: Lab, words: tuple[str, ...], said: str) -> None:
    lab.up(one())
    tree(lab, "src/x")
    before = listed(lab.folder)
    assert said in lab.refusal("cp", *words)
    assert listed(lab.folder) == before


def test_links_are_copied_as_links_unless_told(lab: Lab) -> None:
    lab.up(one())
    lab.exec("a", "sh", "-c", "mkdir /src && echo far > /far && ln -s ../far /src/link && ln -s far /near")
    lab.corral("cp", "a:/near", "near")
    assert os.readlink(lab.folder / "near") == "far"
    lab.corral("cp", "-L", "a:/src/link", "followed")
    assert (lab.folder / "followed").read_text() == "far\n"
    (lab.folder / "into").mkdir()
    tree(lab, "real")
    (lab.folder / "link").symlink_to("real")
    lab.corral("cp", "link", "a:/tmp/")
    assert lab.exec("a", "readlink", "/tmp/link") == "real\n"
    lab.corral("cp", "-L", "link", "a:/tmp/copy")
    assert lab.exec("a", "cat", "/tmp/copy") == "this is real\n"


def test_a_link_in_the_container_that_is_the_target_is_followed_inside(lab: Lab) -> None:
    lab.up(one())
    tree(lab, "x")
    lab.exec("a", "sh", "-c", "mkdir /place && ln -s ../../../../place /tmp/way && ln -s /place/fresh /tmp/dangling")
    lab.corral("cp", "x", "a:/tmp/way")
    lab.corral("cp", "x", "a:/tmp/dangling")
    assert lab.exec("a", "ls", "/place").split() == ["fresh", "x"]


# -------------------------------------------------------------------------------------------------- owners and contents


def test_owners_and_modes(lab: Lab) -> None:
    lab.up(one())
    tree(lab, "x")
    os.chown(lab.folder / "x", 1234, 2345)
    (lab.folder / "x").chmod(0o754)
    lab.corral("cp", "x", "a:/tmp/plain")
    lab.corral("cp", "-a", "x", "a:/tmp/kept")
    assert lab.exec("a", "stat", "-c", "%u %g %a", "/tmp/plain", "/tmp/kept") == "0 0 754\n1234 2345 754\n"
    lab.exec("a", "sh", "-c", "echo x > /tmp/suid && chown app:extra /tmp/suid && chmod 4777 /tmp/suid")
    lab.corral("cp", "a:/tmp/suid", "plain")
    lab.corral("cp", "-a", "a:/tmp/suid", "kept")
    found = [(lab.folder / name).stat() for name in ("plain", "kept")]
    assert [(each.st_uid, each.st_gid, each.st_mode & 0o7777) for each in found] == [(0, 0, 0o755), (1000, 2000, 0o777)]


NET_BIND = bytes.fromhex(
    "0100000200040000000000000000000000000000"
)  # linux/capability.h: revision 2, effective, bit 10


@pytest.mark.parametrize("userns", ["host", "auto"])
@pytest.mark.parametrize("rests", [False, True])
def test_extended_attributes_and_capabilities_of_programs(lab: Lab, userns: str, rests: bool) -> None:
    """Into the container both; out of it only what means nothing to the machine, but for a tar stream, which has both."""
    lab.up(one(f"userns_mode: {userns}", "volumes: ['./bound:/bound']"))
    tree(lab, "x")
    os.setxattr(lab.folder / "x", "user.mine", b"\xffa=\n")
    os.setxattr(lab.folder / "x", "security.capability", NET_BIND)
    if rests:
        lab.corral("stop", "-t", "0")
    lab.corral("cp", "x", "a:/tmp/x")
    lab.corral("cp", "a:/tmp/x", "back")
    assert os.listxattr(lab.folder / "back") == ["user.mine"]
    assert os.getxattr(lab.folder / "back", "user.mine") == b"\xffa=\n"
    with lab.popen("cp", "a:/tmp/x", "-", stdout=subprocess.PIPE) as process:
        assert process.stdout
        with tarfile.open(mode="r|", fileobj=process.stdout.buffer) as tar:
            headers = tar.next().pax_headers  # type: ignore[union-attr]
    assert headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == NET_BIND
    if rests:
        lab.corral("start")
    inside = os.open(f"/proc/{lab.pid('a')}/root/tmp/x", os.O_RDONLY)
    assert os.getxattr(inside, "user.mine") == b"\xffa=\n"
    assert os.getxattr(inside, "security.capability")[4:20] == NET_BIND[4:20]
    os.close(inside)


def test_an_archive_by_standard_input_and_output(lab: Lab) -> None:
    lab.up(one())
    buffer = io.BytesIO()
    with tarfile.open(mode="w:gz", fileobj=buffer) as tar:
        info = tarfile.TarInfo("deep/file")
        info.uid, info.gid, info.size = 1000, 2000, 5
        tar.addfile(info, io.BytesIO(b"hello"))
    with lab.popen("cp", "-", "a:/tmp", stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.buffer.write(buffer.getvalue())
        process.stdin.close()
        assert process.wait(20) == 0
    assert lab.exec("a", "stat", "-c", "%u %g %s", "/tmp/deep/file") == "1000 2000 5\n"
    assert names(lab, "/tmp/deep") == {"deep", "deep/file"}
    assert names(lab, "/tmp/deep/.") == {".", "./file"}
    assert "etc/passwd" in {name.removeprefix("./") for name in names(lab, "/")}
    assert not any(name.startswith("./proc/") for name in names(lab, "/"))
    assert "it is no directory" in lab.corral("cp", "-", "a:/etc/passwd", code=1, stdin="").stderr
    assert "cannot read the tar stream" in lab.corral("cp", "-", "a:/tmp", code=1, stdin="no tar at all").stderr


def test_into_all_replicas_or_one(lab: Lab) -> None:
    lab.up(one("scale: 3"))
    tree(lab, "x", "y")
    lab.corral("cp", "x", "a:/tmp/")
    lab.corral("cp", "--index", "2", "y", "a:/tmp/")
    found = [lab.out("exec", "-T", "--index", str(n), "a", "ls", "/tmp") for n in (1, 2, 3)]
    assert [each.split() for each in found] == [["x"], ["x", "y"], ["x"]]
    assert "one tar stream is for one container" in lab.corral("cp", "-", "a:/tmp", code=1, stdin="").stderr


def test_volumes_and_binds_are_seen_as_the_container_sees_them(lab: Lab) -> None:
    (lab.folder / "bound").mkdir()
    lab.up(
        one("volumes: ['data:/vol', './bound:/bound', './bound:/fixed:ro']", "tmpfs: ['/mem']", "read_only: true")
        + "volumes: {data: {}}\n"
    )
    tree(lab, "x")
    for state in ("running", "stopped"):
        if state == "stopped":
            lab.corral("stop", "-t", "0")
        lab.corral("cp", "x", f"a:/vol/{state}")
        lab.corral("cp", "x", f"a:/bound/{state}")
        assert (lab.folder / "bound" / state).exists()
        assert "read-only" in lab.refusal("cp", "x", "a:/fixed/x").lower()
        assert "read-only" in lab.refusal("cp", "x", "a:/etc/x").lower()
    lab.corral("start")
    assert set(lab.exec("a", "ls", "/vol").split()) == {"running", "stopped"}


def test_a_big_file_streams_and_its_holes_stay_holes(lab: Lab) -> None:
    lab.up(one())
    with (lab.folder / "big").open("wb") as file:
        file.write(b"begin")
        file.truncate(600 * MIB)
        file.seek(0, os.SEEK_END)
        file.write(b"end")
    daemon = lab.process("corral daemon")
    before = machine.status(daemon)["VmHWM"]
    lab.corral("cp", "big", "a:/tmp/big")
    assert lab.exec("a", "sh", "-c", "stat -c %s /tmp/big; tail -c 3 /tmp/big; du -m /tmp/big").split()[:3] == [
        str(600 * MIB + 3),
        "end1",
        "/tmp/big",
    ]
    lab.corral("cp", "a:/tmp/big", "back")
    assert (lab.folder / "back").stat().st_blocks * 512 < MIB
    grown = int(machine.status(daemon)["VmHWM"].split()[0]) - int(before.split()[0])
    assert grown < 20_000, "not a byte of it passed through the daemon"


# ---------------------------------------------------------------------------------------------------------------- attacks

SWAPS = """sh -c 'mkdir /evil /tmp/d; echo mine > /evil/secret; ln -s / /tmp/l
while :; do mv /tmp/d /tmp/o; mv /tmp/l /tmp/d; mv /tmp/d /tmp/l; mv /tmp/o /tmp/d; done'"""


def test_a_container_that_swaps_links_gets_and_gives_nothing_of_the_machine(lab: Lab) -> None:
    secret = lab.folder / "outside"
    secret.mkdir()
    (secret / "secret").write_text("the machine's\n")
    lab.up(
        one(
            "stop_signal: KILL",
            command=SWAPS.replace("ln -s / /tmp/l", f"ln -s {secret} /tmp/l").replace("\n", " ; ").replace("; ;", ";"),
        )
    )
    tree(lab, "payload")
    eventually(lambda: "/tmp/l" in lab.exec("a", "sh", "-c", "echo /tmp/*"))  # `ls` ends with 1 where one has just gone
    ends: dict[tuple[str, int], int] = {}
    for _ in range(25):
        for words in (
            ("payload", "a:/tmp/d/"),
            ("-L", "a:/tmp/d/secret", "stolen"),
            ("-L", "a:/tmp/l/secret", "stolen"),
        ):
            done = lab.corral("cp", *words, code=None)
            assert done.returncode in (0, 1), done.stderr
            ends[words[0], done.returncode] = ends.get((words[0], done.returncode), 0) + 1
    assert ends.get(("payload", 0)), f"who meets the directory copies: {ends}"
    assert ends.get(("payload", 1)), f"and who meets the link, or nothing, does not: {ends}"
    assert listed(secret) == {"secret"}
    assert (secret / "secret").read_text() == "the machine's\n"
    assert not (lab.folder / "stolen").exists()


def test_planted_links_and_magic_links_lead_nowhere(lab: Lab) -> None:
    lab.up(one())
    marker = lab.folder / "marker"
    marker.write_text("the machine's\n")
    lab.exec("a", "sh", "-c", f"ln -s /proc/1/root /tmp/root; ln -s {marker} /tmp/marker; ln -s / /tmp/top")
    for path in ("/tmp/root/etc/passwd", "/proc/1/root/etc/passwd", f"/tmp/top/../../..{marker}", "/tmp/marker"):
        lab.corral("cp", "-L", f"a:{path}", "stolen", code=None)
        if (lab.folder / "stolen").exists():
            assert "the machine's" not in (lab.folder / "stolen").read_text()
            (lab.folder / "stolen").unlink()
    tree(lab, "payload")
    lab.corral("cp", "payload", "a:/tmp/marker", code=None)
    assert marker.read_text() == "the machine's\n"


def test_what_comes_out_stays_below_where_it_was_asked_for(lab: Lab) -> None:
    lab.up(one("cap_add: [MKNOD]"))
    lab.exec(
        "a",
        "sh",
        "-c",
        "mkdir -p /src/sub && cd /src && echo x > ok && ln -s /etc/passwd absolute && ln -s ../../out up"
        " && ln -s ok fine && mkfifo pipe && mknod zero c 1 5 && ln ok twin && echo s > suid && chmod 6755 suid",
    )
    done = lab.corral("cp", "a:/src", "got", code=1)
    assert listed(lab.folder / "got") == {"sub", "ok", "fine", "twin", "suid"}
    for name in ("absolute", "up", "pipe", "zero"):
        assert f"not copied: src/{name}: " in done.stderr
    assert (lab.folder / "got/suid").stat().st_mode & 0o7777 == 0o755
    assert (lab.folder / "got/ok").stat().st_nlink == 2


def test_a_hostile_archive_gets_no_further_than_its_folder(lab: Lab) -> None:
    lab.up(one())
    buffer = io.BytesIO()
    with tarfile.open(mode="w", fileobj=buffer) as tar:
        for name, kind, link in (
            ("../../escape", tarfile.REGTYPE, ""),
            ("/absolute", tarfile.REGTYPE, ""),
            ("way", tarfile.SYMTYPE, "/etc"),
            ("way/passwd", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    (lab.folder / "evil.tar").write_bytes(buffer.getvalue())
    with (lab.folder / "evil.tar").open() as file, lab.popen("cp", "-", "a:/tmp", stdin=file, stderr=-1) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "way/passwd" in err
    assert lab.exec("a", "ls", "/tmp").split() == ["way"]
    assert "root:x" in lab.exec("a", "cat", "/etc/passwd")
    assert "escape" not in lab.exec("a", "ls", "/")


# --------------------------------------------------------------------------------------------------------------- failures


def workers(lab: Lab) -> dict[int, str]:
    return lab.machine.processes("engine.copying")


def test_a_start_ends_a_copy_of_a_container_at_rest(lab: Lab) -> None:
    lab.up(one())
    lab.corral("stop", "-t", "0")
    with lab.popen("cp", "-", "a:/tmp", stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        eventually(lambda: workers(lab))
        threading.Event().wait(0)
        lab.corral("start")
        assert process.stdin
        process.stdin.close()
        assert process.stderr
        assert "broken off" in process.stderr.read()
        assert process.wait(20) == 1
    eventually(lambda: not workers(lab))
    assert lab.states() == {"a-1": "running"}


def test_a_copy_ends_with_the_daemon_and_leaves_no_mount(lab: Lab) -> None:
    lab.up(one())
    lab.corral("stop", "-t", "0")
    with lab.popen("cp", "-", "a:/tmp", stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        eventually(lambda: workers(lab))
        lab.kill("corral daemon")
        eventually(lambda: not workers(lab))
        process.communicate(timeout=20)
        assert process.returncode == 1
    lab.corral("start")
    assert lab.exec("a", "echo", "alive") == "alive\n"


def test_a_client_that_goes_away_ends_its_copy(lab: Lab) -> None:
    lab.up(one())
    with lab.popen("cp", "-", "a:/tmp", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        eventually(lambda: workers(lab))
        process.kill()
    eventually(lambda: not workers(lab))
