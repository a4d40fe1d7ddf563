# ruff: noqa: ASYNC240
# Looking at files and processes between two steps is what these tests do; nothing else runs in their loop meanwhile.
"""A container's file system: what is there, what is hidden, and what an image or a neighbour cannot get mounted or made."""

import os
import pathlib
import stat
from collections.abc import Iterator

import pytest

from engine import errors
from engine.process import wire
from tests.engine.process_kit import Lab

pytestmark = [pytest.mark.root, pytest.mark.anyio]

TRIES_MOST = 1000
"""As many as a race is given to be lost and to be won."""


@pytest.fixture
def host_file() -> Iterator[pathlib.Path]:
    """A path on the machine, outside of every test directory, that no container may make."""
    path = pathlib.Path(f"/corral-test-{os.getpid()}")
    yield path
    assert not os.path.lexists(path)


def layered(lab: Lab, name: str = "layer") -> tuple[pathlib.Path, wire.Overlay]:
    """An image of a layer of the test's own on busybox."""
    layer = pathlib.Path(lab.make(name))
    return layer, wire.Overlay("/", (str(layer), str(lab.image)), lab.make(f"{name}-u"), lab.make(f"{name}-w"))


async def test_what_is_masked_cannot_be_read_and_what_is_read_only_not_written(lab: Lab) -> None:
    script = """
    for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do test -e $f && wc -c < $f; done
    for d in /sys/firmware /proc/acpi /proc/scsi; do test -d $d && ls $d | wc -l; done
    for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/kernel/mm/x /proc/irq/x; do
      (echo x > $f) 2>/dev/null && echo "wrote $f"; done
    ls /sys/devices/system/cpu/cpu0/thermal_throttle 2>/dev/null | wc -l
    exit 0
    """
    async with lab.sandbox() as sandbox:
        text = await sandbox.output("sh", "-c", script)
    assert set(text.split()) == {"0"}


async def test_dev_is_our_own_and_complete(lab: Lab) -> None:
    script = """
    for d in null zero full random urandom tty; do stat -c '%n %t:%T %a %F' /dev/$d; done
    for l in fd stdin stdout stderr ptmx core; do echo $l $(readlink /dev/$l); done
    head -c 4 /dev/zero | wc -c; echo x > /dev/null; ls /dev | wc -l
    grep -c -E ' /dev/(pts|shm|mqueue) ' /proc/self/mounts; grep ' /dev/shm ' /proc/self/mounts | grep -c size=1024k
    """
    async with lab.sandbox() as sandbox:
        lines = (await sandbox.output("sh", "-c", script, shm_bytes=1 << 20)).splitlines()
    numbers = ("null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0")
    assert lines[:6] == [f"/dev/{number} 666 character special file" for number in numbers]
    assert "ptmx pts/ptmx" in lines
    assert "stdout /proc/self/fd/1" in lines
    assert lines[-4:] == ["4", "15", "3", "1"]


async def test_nothing_of_the_machine_is_left_in_the_mount_table(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        text = await sandbox.output("cat", "/proc/self/mountinfo")
    assert str(lab.directory) not in text
    assert len([line for line in text.splitlines() if line.split()[4] == "/"]) == 1


async def test_a_read_only_root_still_has_a_writable_dev_and_tmpfs(lab: Lab) -> None:
    mounts = (wire.Tmpfs("/tmp", size_bytes=1 << 20, mode=0o1770, uid=5, gid=6, no_exec=True),)
    script = (
        "touch /x 2>/dev/null && exit 1; touch /tmp/y /dev/shm/z && stat -c '%a %u %g' /tmp; grep ' /tmp ' /proc/mounts"
    )
    async with lab.sandbox() as sandbox:
        text = await sandbox.output("sh", "-c", script, read_only=True, mounts=mounts)
    assert text.startswith("1770 5 6\n")
    assert {"nosuid", "nodev", "noexec", "size=1024k"} <= set(text.split()[-3].split(","))


async def test_binds_of_directories_and_files_read_write_and_read_only(lab: Lab) -> None:
    (lab.directory / "dir/below").mkdir(parents=True)
    (lab.directory / "file").write_text("from outside\n")
    mounts = (
        wire.Bind(str(lab.directory / "dir/below"), "/mnt/deep/er"),  # before its parent: the order is by depth
        wire.Bind(str(lab.directory / "dir"), "/mnt", read_only=True),
        wire.Bind(str(lab.directory / "file"), "/etc/one/file"),
        wire.Bind(str(lab.directory / "new/dir"), "/new", create_host_path=True),
    )
    (lab.directory / "dir/deep/er").mkdir(parents=True)
    script = "cat /etc/one/file; echo in > /mnt/deep/er/f; touch /new/made; touch /mnt/x 2>/dev/null || echo refused"
    async with lab.sandbox() as sandbox:
        assert await sandbox.output("sh", "-c", script, mounts=mounts) == "from outside\nrefused\n"
    assert (lab.directory / "dir/below/f").read_text() == "in\n"
    assert (lab.directory / "new/dir/made").exists()


async def test_a_bind_of_nothing_names_it(lab: Lab) -> None:
    async with lab.sandbox() as sandbox:
        with pytest.raises(
            errors.TerminalEngineError, match="cannot mount /no/such at /x: the machine has no such path"
        ):
            await sandbox.shim.start(lab.spec("true", mounts=(wire.Bind("/no/such", "/x"),)))


@pytest.mark.parametrize("target", ["/proc", "/proc/x", "/sys/kernel", "/", "/a/../proc/y", "//sys", "relative"])
async def test_targets_that_are_the_kernels_or_the_images_are_refused(lab: Lab, target: str) -> None:
    async with lab.sandbox() as sandbox:
        with pytest.raises(errors.TerminalEngineError, match="cannot mount anything at"):
            await sandbox.shim.start(lab.spec("true", mounts=(wire.Tmpfs(target),)))


async def test_a_target_that_leads_to_proc_is_refused(lab: Lab) -> None:
    layer, overlay = layered(lab)
    (layer / "link").symlink_to("/proc/sys")
    async with lab.sandbox() as sandbox:
        with pytest.raises(errors.TerminalEngineError, match="it leads to /proc or /sys"):
            await sandbox.shim.start(lab.spec("true", mounts=(wire.Tmpfs("/link"),), overlays=(overlay,)))


@pytest.mark.parametrize("name", ["proc", "sys", "dev", "dev/pts", "dev/shm"])
async def test_an_image_whose_kernel_directories_are_links_gets_nothing_mounted_there(
    lab: Lab, name: str, host_file: pathlib.Path
) -> None:
    layer = pathlib.Path(lab.make("rootfs"))
    for directory in ("bin", "etc", "target"):
        (layer / directory).mkdir()
    (layer / "bin/busybox").write_bytes((lab.image / "bin/busybox").read_bytes())
    (layer / "bin/busybox").chmod(0o755)
    (layer / name).parent.mkdir(exist_ok=True)
    (layer / name).symlink_to(f"../../../../../../../../..{host_file}")
    overlay = wire.Overlay("/", (str(layer),), lab.make("u"), lab.make("w"))
    async with lab.sandbox() as sandbox:
        if "/" in name:  # /dev itself is ours: what the image has below it is never seen
            assert await sandbox.output("/bin/busybox", "true", overlays=(overlay,)) == ""
            return
        with pytest.raises(errors.EngineError, match="symbolic link"):
            await sandbox.shim.start(lab.spec("/bin/busybox", "true", overlays=(overlay,)))


async def test_links_on_the_way_to_a_target_stay_inside_the_root(lab: Lab, host_file: pathlib.Path) -> None:
    layer, overlay = layered(lab)
    (layer / "absolute").symlink_to(host_file)
    (layer / "upwards").symlink_to(f"../../../../..{host_file}")
    (layer / "etc").mkdir()
    (layer / "etc/resolv.conf").symlink_to(f"..{host_file}/stub.conf")
    (lab.directory / "text").write_text("nameserver\n")
    mounts = (
        wire.Tmpfs("/absolute/dir"),
        wire.Bind(str(lab.directory / "text"), "/upwards/file"),
        wire.Volume(lab.make("volume"), "/upwards/volume"),
    )
    files = (wire.Bind(str(lab.directory / "text"), "/etc/resolv.conf"),)
    async with lab.sandbox() as sandbox:
        script = f"cat {host_file}/file /etc/resolv.conf; ls {host_file}"
        text = await sandbox.output("sh", "-c", script, mounts=mounts, files=files, overlays=(overlay,))
    assert text.split() == ["nameserver", "nameserver", "dir", "file", "stub.conf", "volume"]


async def test_a_neighbour_who_swaps_a_target_for_a_link_wins_nothing(lab: Lab, host_file: pathlib.Path) -> None:
    """CVE-2021-30465: two containers share a volume, and one exchanges a directory in it while the other is started."""
    shared = lab.make("shared")
    os.mkdir(f"{shared}/real")
    flip = f"while :; do mv /s/x /s/y; ln -s ../../../../..{host_file} /s/x; rm /s/x; mv /s/y /s/x; done 2>/dev/null"
    flip = f"cd /s; mkdir x; {flip}"
    straight = led_away = lost = 0
    async with lab.sandbox() as sandbox:
        await sandbox.shim.start(lab.spec("sh", "-c", flip, container="racer", mounts=(wire.Bind(shared, "/s"),)))
        for number in range(TRIES_MOST):
            if number >= 40 and straight and led_away + lost:
                break
            mounts = (wire.Bind(shared, "/s"), wire.Tmpfs(f"/s/x/inner{number}/deep"))
            try:
                text = await sandbox.output("cat", "/proc/self/mountinfo", container="victim", mounts=mounts)
            except errors.EngineError:
                lost += 1  # which is no harm
                continue
            places = [line.split()[4] for line in text.splitlines()]
            [place] = [place for place in places if place.endswith(f"inner{number}/deep")]
            straight += place.startswith("/s/")
            led_away += place.startswith(str(host_file))  # inside of its own root
        assert [process.container for process in (await sandbox.shim.list()).running] == ["racer"]
        await sandbox.shim.stop("racer", 9, 0)
    assert straight, "who meets the directory starts"
    assert led_away + lost, "and some met the link, or nothing"
    assert not host_file.exists()


async def test_an_empty_volume_is_filled_from_the_image_once(lab: Lab) -> None:
    layer, overlay = layered(lab)
    data = layer / "data"
    (data / "sub").mkdir(parents=True)
    (data / "file").write_text("from the image")
    (data / "file").chmod(0o4750)
    os.chown(data / "file", 7, 8)
    os.chown(data, 1000, 1001)
    data.chmod(0o2775)
    (data / "link").symlink_to("/etc/passwd")
    os.mkfifo(data / "fifo")
    os.utime(data / "sub", ns=(1, 2_000_000_000))
    volume = pathlib.Path(lab.make("volume"))
    mounts = (wire.Volume(str(volume), "/data"),)
    async with lab.sandbox() as sandbox:
        script = "chmod u-s /data/file && rm /data/link && ls -a /data | wc -l"
        assert await sandbox.output("sh", "-c", script, mounts=mounts, overlays=(overlay,)) == "5\n"
        assert await sandbox.output("ls", "/data", mounts=mounts, overlays=(overlay,)) == "fifo\nfile\nsub\n"
        other = wire.Volume(lab.make("other"), "/data", copy_up=False)
        assert await sandbox.output("ls", "/data", mounts=(other,), overlays=(overlay,)) == ""
    found = (volume / "file").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (7, 8, 0o750)
    assert (volume.stat().st_uid, stat.S_IMODE(volume.stat().st_mode)) == (1000, 0o2775)
    assert (volume / "sub").stat().st_mtime_ns == 2_000_000_000
    assert not pathlib.Path(f"{volume}.filling").exists()


async def test_a_filling_that_was_cut_short_is_begun_again(lab: Lab) -> None:
    volume = pathlib.Path(lab.make("volume"))
    (volume / "half").mkdir()
    (volume / "half/file").write_text("cut")
    pathlib.Path(f"{volume}.filling").touch()
    async with lab.sandbox() as sandbox:
        assert "passwd" in await sandbox.output("ls", "/etc", mounts=(wire.Volume(str(volume), "/etc"),))
    assert not (volume / "half").exists()


async def test_a_volume_at_a_link_is_filled_from_inside_the_image(lab: Lab, host_file: pathlib.Path) -> None:
    """CVE-2022-23648: an image whose volume's place is a link to a directory of the machine's."""
    host_file.mkdir()
    try:
        (host_file / "secret").touch()
        layer, overlay = layered(lab)
        (layer / "data").symlink_to(f"../../../../..{host_file}")
        volume = lab.make("volume")
        async with lab.sandbox() as sandbox:
            mounts = (wire.Volume(volume, "/data"),)
            assert await sandbox.output("ls", "/data/", mounts=mounts, overlays=(overlay,)) == ""
        assert os.listdir(volume) == []
    finally:
        (host_file / "secret").unlink()
        host_file.rmdir()


async def test_overlays_below_the_root_have_writable_layers_of_their_own(lab: Lab) -> None:
    tree = pathlib.Path(lab.make("tree"))
    (tree / "file").write_text("lower\n")
    overlays = (
        wire.Overlay("/", (str(lab.image),), lab.make("u0"), lab.make("w0")),
        wire.Overlay("/usr", (str(tree),), lab.make("u1"), lab.make("w1")),
        wire.Overlay("/opt/ro", (str(tree),)),
    )
    script = "cat /usr/file /opt/ro/file; echo new > /usr/file; touch /opt/ro/x 2>/dev/null || echo refused"
    async with lab.sandbox() as sandbox:
        assert await sandbox.output("sh", "-c", script, overlays=overlays) == "lower\nlower\nrefused\n"
    assert (lab.directory / "u1/file").read_text() == "new\n"
    assert (tree / "file").read_text() == "lower\n"


@pytest.mark.parametrize("lab", [frozenset(), frozenset({"overlay-api"})], indirect=True, ids=["new", "old"])
async def test_many_layers_with_long_and_odd_names(lab: Lab) -> None:
    lowers = []
    for number in range(60):
        layer = pathlib.Path(lab.make("x" * 200, f"a:b,c\\d {number}"))
        (layer / f"f{number}").touch()
        lowers.append(str(layer))
    overlay = wire.Overlay("/", (*lowers, str(lab.image)), lab.make("y" * 200, "up:"), lab.make("y" * 200, "work:"))
    async with lab.sandbox() as sandbox:
        text = await sandbox.output("sh", "-c", "ls /f* | wc -l; touch /made", overlays=(overlay,))
    assert text == "60\n"
    assert (lab.directory / ("y" * 200) / "up:/made").exists()
