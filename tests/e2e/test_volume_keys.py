"""What volumes are made of and how they are mounted: driver_opts, subpaths, propagation, anonymous volumes."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually
from tests.e2e.test_volumes import SLEEP, inode, inside, mount_of, volume_folders


def lines_of(lab: Lab, service: str, target: str) -> list[str]:
    """The lines of mountinfo at and below `target` in the container."""
    found = machine.read(f"/proc/{lab.pid(service)}/mountinfo").splitlines()
    return [line for line in found if line.split()[4] == target or line.split()[4].startswith(f"{target}/")]


def on_machine(lab: Lab, command: str, *, check: bool = True) -> str:
    """A shell command in the mount namespace of the lab's machine."""
    return machine.run("nsenter", "-t", str(lab.machine.pid), "-m", "sh", "-c", command, check=check)


# ------------------------------------------------------------------------------------------------------- driver_opts


@pytest.mark.key("volumes.driver_opts")
def test_a_volume_may_be_a_folder_of_the_machine(lab: Lab) -> None:
    (lab.folder / "there").mkdir()
    before = lab.machine.snapshot()["mounts"]
    lab.up(
        f"""
services: {{a: {{{SLEEP}, volumes: ['data:/data', 'locked:/locked']}}}}
volumes:
  data: {{driver_opts: {{type: none, o: bind, device: ./there}}}}
  locked: {{driver_opts: {{type: none, o: "bind,ro", device: ./there}}}}
"""
    )
    assert inode(inside(lab, "a", "/data")) == inode(lab.folder / "there")
    assert (lab.folder / "there/from-image").exists(), "an empty one is filled, as any volume"
    lab.exec("a", "touch", "/data/mine")
    lab.exec("a", "touch", "/locked/not", code=1)
    assert lab.machine.snapshot()["mounts"] == before, "nothing is mounted on the machine for it"
    lab.corral("down", "-v", "-t", "0")
    assert volume_folders(lab) == []
    assert (lab.folder / "there/mine").exists(), "what is the machine's stays"


@pytest.mark.key("volumes.driver_opts")
def test_a_volume_whose_folder_is_not_there_is_refused_before_anything_is_touched(lab: Lab) -> None:
    lab.write(
        f"services: {{a: {{{SLEEP}, volumes: ['data:/data']}}}}\n"
        "volumes: {data: {driver_opts: {type: none, o: bind, device: ./no}}}\n"
    )
    said = lab.refusal("up", "-d")
    assert "compose.yaml:2:" in said
    assert "volumes.data.driver_opts.device" in said
    assert "no such file" in said
    assert lab.ps() == {}


TMPFS = f"""
services:
  a: {{{SLEEP}, volumes: ['memory:/m']}}
  b: {{{SLEEP}, volumes: ['memory:/m']}}
volumes: {{memory: {{driver_opts: {{type: tmpfs, device: tmpfs, o: "size=2m,uid=1000,mode=750"}}}}}}
"""


@pytest.mark.key("volumes.driver_opts")
def test_a_volume_in_memory_is_shared_and_lives_as_long_as_the_volume(lab: Lab) -> None:
    before = lab.machine.snapshot()["mounts"]
    lab.up(TMPFS)
    _, options, kind = mount_of(lab, "a", "/m")
    assert kind == "tmpfs"
    assert "size=2048k" in options
    found = inside(lab, "a", "/m").stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (1000, 0o750)
    lab.exec("a", "sh", "-c", "echo hello > /m/x")
    assert lab.exec("b", "cat", "/m/x") == "hello\n"
    lab.exec("a", "sh", "-c", "dd if=/dev/zero of=/m/big bs=1M count=3", code=1)
    lab.kill("corral daemon")
    lab.corral("down", "-t", "0")
    lab.up()
    assert lab.exec("b", "cat", "/m/x") == "hello\n", "it outlives its containers and the daemon"
    lab.corral("down", "-v", "-t", "0")
    assert lab.machine.snapshot()["mounts"] == before


def test_a_volume_in_memory_is_made_again_after_a_reboot(lab: Lab) -> None:
    """A reboot is a lost mount, as far as a volume can tell."""
    lab.up(TMPFS)
    lab.corral("stop", "-t", "0")
    place = lab.owner.root / "volumes" / f"{lab.project}_memory" / "_data"
    on_machine(lab, f"umount {place}")
    lab.corral("start")
    assert mount_of(lab, "a", "/m")[2] == "tmpfs"
    lab.exec("a", "touch", "/m/again")
    assert "again" in lab.exec("b", "ls", "/m")


@contextlib.contextmanager
def disk(folder: pathlib.Path) -> Iterator[str]:
    """A block device with an ext4 on it."""
    image = folder / "disk"
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    machine.run("mkfs.ext4", "-q", str(image))
    device = machine.run("losetup", "--find", "--show", str(image)).strip()
    try:
        yield device
    finally:
        machine.run("losetup", "--detach", device)


def test_a_volume_may_be_a_file_system_on_a_disk(lab: Lab) -> None:
    with disk(lab.folder) as device:
        before = lab.machine.snapshot()["mounts"]
        lab.up(
            f"""
services:
  a: {{{SLEEP}, volumes: ['disk:/d']}}
  b: {{{SLEEP}, volumes: ['disk:/d:ro']}}
volumes: {{disk: {{driver_opts: {{type: ext4, device: {device}, o: "noatime,errors=remount-ro"}}}}}}
"""
        )
        _, options, kind = mount_of(lab, "a", "/d")
        assert (kind, "noatime" in options) == ("ext4", True)
        lab.exec("a", "touch", "/d/x")
        assert "x" in lab.exec("b", "ls", "/d")
        assert lab.machine.snapshot()["mounts"] == before, "it is mounted in the containers alone"
        lab.corral("down", "-v", "-t", "0")
        assert "x" in machine.run("debugfs", "-R", "ls -p /", device), "what is on the disk stays"


def test_a_file_system_that_the_kernel_has_not_is_named(lab: Lab) -> None:
    known = machine.read("/proc/filesystems").split()
    if "nfs" in known:
        pytest.skip("this kernel has nfs")
    lab.write(
        f"services: {{a: {{{SLEEP}, volumes: ['share:/s']}}}}\n"
        "volumes: {share: {driver_opts: {type: nfs, o: 'addr=127.0.0.1,ro', device: ':/export'}}}\n"
    )
    said = lab.refusal("up", "-d")
    assert "has no file system nfs" in said
    assert "modprobe nfs" in said
    assert "running" not in lab.states().values()


@pytest.mark.key("volumes.driver_opts")
def test_a_file_system_is_reached_through_the_machines_network_whatever_the_containers(lab: Lab) -> None:
    """A sysfs shows the interfaces of the network that it was mounted through, as a share is reached through that one."""
    for more in ("network_mode: none", "networks: [default]"):
        lab.up(
            f"services: {{a: {{{SLEEP}, {more}, volumes: ['net:/n']}}}}\n"
            "volumes: {net: {driver_opts: {type: sysfs, device: sysfs, o: ro}}}\n"
        )
        assert "ext0" in lab.exec("a", "ls", "/n/class/net").split()
        assert "ext0" not in lab.exec("a", "ls", "/sys/class/net").split()


def test_another_driver_opts_is_another_volume_and_is_refused_with_the_way_out(lab: Lab) -> None:
    lab.up(TMPFS)
    pids = lab.pids()
    lab.exec("a", "touch", "/m/mine")
    lab.write(TMPFS.replace("size=2m", "size=4m"))
    said = lab.refusal("up", "-d")
    assert "driver_opts tmpfs tmpfs size=2m,uid=1000,mode=750 -> tmpfs tmpfs size=4m,uid=1000,mode=750" in said
    assert "corral down -v" in said
    assert lab.pids() == pids
    assert "mine" in lab.exec("a", "ls", "/m")


# ------------------------------------------------------------------------------------------------------------- mounts


@pytest.mark.key("services.volumes.volume.subpath")
def test_a_part_of_a_volume_is_mounted_and_leads_nowhere_else(lab: Lab) -> None:
    part = "{type: volume, source: data, target: /p, volume: {subpath: %s}}"
    volumes = "\nvolumes: {data: {}}\n"
    maker = f"services: {{maker: {{{SLEEP}, volumes: ['data:/data']}}"
    lab.up(f"{maker}}}{volumes}")
    lab.exec("maker", "sh", "-c", "mkdir -p /data/deep/er; echo in > /data/deep/er/x; ln -s /etc /data/away")
    lab.up(f"{maker}, a: {{{SLEEP}, volumes: [{part % 'deep/er'}]}}}}{volumes}")
    assert lab.exec("a", "ls", "/p") == "x\n"
    lab.write(f"{maker}, b: {{{SLEEP}, volumes: [{part % 'missing'}]}}}}{volumes}")
    assert "cannot mount missing of a volume: it has no such path" in lab.refusal("up", "-d")
    lab.write(f"{maker}, b: {{{SLEEP}, volumes: [{part % 'away'}]}}}}{volumes}")
    assert "cannot mount away of a volume" in lab.refusal("up", "-d"), "a link is resolved inside the volume"


@pytest.mark.key("services.volumes.bind.propagation", "services.volumes.bind.recursive")
def test_what_is_mounted_later_is_seen_as_far_as_the_propagation_says(lab: Lab) -> None:
    source = lab.folder / "source"
    source.mkdir()
    on_machine(lab, f"mount -t tmpfs source {source} && mount --make-shared {source}; mkdir {source}/a {source}/b")
    on_machine(lab, f"mkdir {source}/deep; mount -t tmpfs deep {source}/deep; touch {source}/deep/x")
    try:
        bind = "{type: bind, source: ./source, target: /s, bind: {propagation: %s}}"
        flat = "{type: bind, source: ./source, target: /flat, bind: {recursive: disabled}}"
        locked = "{type: bind, source: ./source, target: /%s, read_only: true, bind: {recursive: %s}}"
        lab.up(
            f"""
services:
  private: {{{SLEEP}, volumes: ['./source:/s', {flat}, {locked % ("top", "writable")}, {locked % ("all", "readonly")}]}}
  slave: {{{SLEEP}, volumes: ['./source:/s:rslave']}}
  shared: {{{SLEEP}, privileged: true, volumes: [{bind % "rshared"}]}}
"""
        )
        on_machine(lab, f"mount -t tmpfs later {source}/a")
        seen = {name: len(lines_of(lab, name, "/s/a")) for name in ("private", "slave", "shared")}
        assert seen == {"private": 0, "slave": 1, "shared": 1}
        lab.exec("shared", "mount", "-t", "tmpfs", "inside", "/s/b")
        assert f"{source}/b" in lab.machine.snapshot()["mounts"]  # type: ignore[operator]
        assert lines_of(lab, "slave", "/s/b")
        assert lab.exec("private", "ls", "/s/deep") == "x\n"
        assert lab.exec("private", "ls", "/flat/deep") == ""
        lab.exec("private", "touch", "/top/x", code=1)
        lab.exec("private", "touch", "/top/deep/y")
        lab.exec("private", "touch", "/all/deep/z", code=1)
        lab.corral("down", "-t", "0")
    finally:
        on_machine(lab, f"umount {source}/a {source}/b {source}/deep; umount {source}", check=False)


def test_a_bind_cannot_be_a_peer_of_what_is_not_shared(lab: Lab) -> None:
    (lab.folder / "source").mkdir()
    lab.write(f"services: {{a: {{{SLEEP}, volumes: ['./source:/s:rshared']}}}}\n")
    said = lab.refusal("up", "-d")
    assert "is not a shared mount" in said
    assert "mount --make-shared" in said


@pytest.mark.key("services.volumes.bind.selinux", "services.volumes.consistency")
def test_words_that_mean_nothing_here_change_nothing(lab: Lab) -> None:
    (lab.folder / "x").mkdir()
    lab.write(
        f"services: {{a: {{{SLEEP}, volumes: ['./x:/one:z', './x:/two:cached', "
        "{type: bind, source: ./x, target: /three, consistency: delegated}]}}\n"
    )
    said = lab.up().stderr
    assert "services.a.volumes[0].bind.selinux: no label is changed" in said
    places = [inode(inside(lab, "a", target)) for target in ("/one", "/two", "/three")]
    assert places == [inode(lab.folder / "x")] * 3


# -------------------------------------------------------------------------------------------------- anonymous volumes


@pytest.mark.key("services.volumes.volume.labels", "services.volumes.source")
def test_an_anonymous_volume_is_its_containers_and_its_successors(lab: Lab) -> None:
    text = f"""
services:
  a:
    {SLEEP.replace(", ", chr(10) + "    ")}
    scale: 2
    volumes: [/data, {{type: volume, target: /more, volume: {{labels: {{l: mine}}}}}}]
"""
    lab.up(text)
    assert len(volume_folders(lab)) == 4
    records = [(lab.owner.root / "volumes" / name / "record.json").read_text() for name in volume_folders(lab)]
    assert sum('"mine"' in record for record in records) == 2
    assert inode(inside(lab, "a-1", "/data")) != inode(inside(lab, "a-2", "/data"))
    assert lab.exec("a", "ls", "/data") == "from-image\n"
    lab.exec("a", "touch", "/data/mine")
    lab.up("", "--force-recreate", "-t", "0")
    assert "mine" in lab.exec("a", "ls", "/data")
    before = volume_folders(lab)
    lab.kill("corral daemon")
    lab.corral("ps")
    lab.up(text.replace("init: true", "init: true\n    hostname: other"), "-t", "0")
    assert volume_folders(lab) == before
    lab.corral("down", "-t", "0")
    assert volume_folders(lab) == before, "nothing but down -v takes data away"
    lab.up()
    assert "mine" not in lab.exec("a", "ls", "/data"), "who comes after a down is nobody's successor"
    lab.corral("down", "-v", "-t", "0")
    eventually(lambda: volume_folders(lab) == [])


def test_volumes_from_brings_an_anonymous_volume_too(lab: Lab) -> None:
    lab.up(f"services: {{a: {{{SLEEP}, volumes: [/data]}}, b: {{{SLEEP}, volumes_from: [a]}}}}\n")
    lab.exec("a", "touch", "/data/x")
    assert "x" in lab.exec("b", "ls", "/data")
    assert len(volume_folders(lab)) == 1
    assert os.path.basename(volume_folders(lab)[0]).startswith(f"{lab.project}_a-")


def test_disks_are_let_go() -> None:
    """Of what these tests attach."""
    assert "/disk" not in subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
