"""Volumes: what is mounted where, what it begins with, and that nothing of it is lost unless asked for."""

import os
import pathlib

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

SLEEP = "image: IMAGE, init: true, command: sleep 1000"


def mount_of(lab: Lab, service: str, target: str) -> tuple[str, list[str], str]:
    """(root, options, type) of what the kernel has at `target` in the container."""
    for line in machine.read(f"/proc/{lab.pid(service)}/mountinfo").splitlines():
        fields = line.split()
        if fields[4] == target:
            rest = fields[fields.index("-") + 1 :]
            return fields[3], fields[5].split(",") + rest[2].split(","), rest[0]
    raise AssertionError(f"nothing is mounted at {target}")


def inside(lab: Lab, service: str, path: str) -> pathlib.Path:
    return pathlib.Path(f"/proc/{lab.pid(service)}/root{path}")


def inode(path: pathlib.Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def volume_folders(lab: Lab) -> list[str]:
    return sorted(os.listdir(lab.owner.root / "volumes"))


@pytest.mark.key("services.volumes", "services.volumes.type", "services.volumes.source", "services.volumes.target")
def test_a_bind_mount_is_the_hosts_folder(lab: Lab) -> None:
    (lab.folder / "conf").mkdir()
    (lab.folder / "conf/a").write_text("from the host\n")
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['./conf:/conf', '{lab.folder}/conf:/ro:ro']}}}}\n")
    assert inode(inside(lab, "a", "/conf")) == inode(lab.folder / "conf")
    assert lab.exec("a", "cat", "/conf/a") == "from the host\n"
    lab.exec("a", "sh", "-c", "echo back > /conf/b")
    assert (lab.folder / "conf/b").read_text() == "back\n"


@pytest.mark.key("services.volumes.read_only")
def test_a_read_only_mount_is_read_only_in_the_kernel(lab: Lab) -> None:
    (lab.folder / "conf").mkdir()
    lab.up(
        f"""
services:
  a: {{{SLEEP}, volumes: ['./conf:/conf:ro', 'data:/data:ro', {{type: tmpfs, target: /t, read_only: true}}]}}
volumes: {{data: {{}}}}
"""
    )
    for target in ("/conf", "/data", "/t"):
        assert "ro" in mount_of(lab, "a", target)[1], target
        lab.exec("a", "touch", f"{target}/x", code=1)
    assert list((lab.folder / "conf").iterdir()) == []


def test_a_single_file_may_be_bound(lab: Lab) -> None:
    (lab.folder / "one.conf").write_text("one\n")
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['./one.conf:/etc/deep/er/one.conf']}}}}\n")
    assert inode(inside(lab, "a", "/etc/deep/er/one.conf")) == inode(lab.folder / "one.conf")


def test_relative_paths_start_from_the_files_folder(lab: Lab) -> None:
    for name in ("here/data", "there/data"):
        (lab.folder / name).mkdir(parents=True)
        (lab.folder / name / name.partition("/")[0]).touch()
    lab.write(f"services: {{a: {{{SLEEP}, volumes: ['./data:/data']}}}}\n", "here/compose.yaml")
    lab.corral("-f", "here/compose.yaml", "up", "-d")
    assert lab.exec("a", "ls", "/data") == "here\n"
    lab.corral("-f", "here/compose.yaml", "--project-directory", "there", "up", "-d", "-t", "0")
    assert lab.exec("a", "ls", "/data") == "there\n"


@pytest.mark.key("services.volumes.bind", "services.volumes.bind.create_host_path")
def test_a_missing_bind_source_is_made_unless_the_file_says_otherwise(lab: Lab) -> None:
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['./made:/made']}}}}\n")
    assert (lab.folder / "made").is_dir()
    lab.write(
        f"services: {{b: {{{SLEEP}, volumes: [{{type: bind, source: ./not-made, target: /x, bind: {{create_host_path: false}}}}]}}}}\n"
    )
    said = lab.refusal("up", "-d")
    assert f"{lab.folder}/not-made" in said
    assert not (lab.folder / "not-made").exists()


@pytest.mark.key("volumes")
def test_a_named_volume_outlives_its_containers_and_down(lab: Lab) -> None:
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{}}}}\n")
    lab.exec("a", "sh", "-c", "echo kept > /data/mine")
    lab.up("", "--force-recreate", "-t", "0")
    assert lab.exec("a", "cat", "/data/mine") == "kept\n"
    lab.corral("down", "-t", "0")
    assert len(volume_folders(lab)) == 1
    lab.up()
    assert lab.exec("a", "cat", "/data/mine") == "kept\n"
    lab.corral("down", "-v", "-t", "0")
    assert volume_folders(lab) == []
    lab.up()
    assert "mine" not in lab.exec("a", "ls", "/data")


@pytest.mark.key("volumes.external")
def test_down_v_removes_only_the_projects_own_volumes(lab: Lab) -> None:
    lab.write("services: {}\nvolumes: {data: {name: shared}}\n", "owner.yaml")
    lab.write(
        f"services: {{o: {{{SLEEP}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{name: shared}}}}\n", "owner.yaml"
    )
    owner = ("-f", "owner.yaml", "-p", "owner")
    lab.corral(*owner, "up", "-d")
    try:
        lab.up(
            f"services: {{a: {{{SLEEP}, volumes: ['data:/x']}}}}\nvolumes: {{data: {{external: true, name: shared}}}}\n"
        )
        lab.exec("a", "touch", "/x/from-a")
        lab.corral("down", "-v", "-t", "0")
        assert lab.corral(*owner, "exec", "-T", "o", "ls", "/data").stdout.split() == ["from-a", "from-image"]
    finally:
        lab.corral(*owner, "down", "-v", "-t", "0")


def test_an_external_volume_that_nobody_made_is_a_clear_error(lab: Lab) -> None:
    lab.write(
        f"services: {{a: {{{SLEEP}, volumes: ['data:/x']}}}}\nvolumes: {{data: {{external: true, name: nobodys}}}}\n"
    )
    said = lab.refusal("up", "-d")
    assert "nobodys" in said
    assert "external" in said
    assert "running" not in lab.states().values()


@pytest.mark.key("services.volumes.volume", "services.volumes.volume.nocopy")
def test_an_empty_volume_begins_with_what_the_image_has_there(lab: Lab) -> None:
    lab.up(
        f"""
services:
  a: {{{SLEEP}, volumes: ['data:/data', 'other:/www']}}
  b: {{{SLEEP}, volumes: [{{type: volume, source: bare, target: /data, volume: {{nocopy: true}}}}]}}
volumes: {{data: {{}}, other: {{}}, bare: {{}}}}
"""
    )
    assert lab.exec("a", "cat", "/data/from-image") == "image\n"
    assert (inside(lab, "a", "/www/cgi-bin/who").stat().st_mode & 0o777) == 0o755, "with modes"
    assert lab.exec("b", "ls", "/data") == ""
    lab.exec("a", "rm", "/data/from-image")
    lab.exec("a", "touch", "/data/other")
    lab.up("", "--force-recreate", "-t", "0")
    assert lab.exec("a", "ls", "/data") == "other\n", "only while it is empty"


@pytest.mark.key(
    "services.tmpfs", "services.volumes.tmpfs", "services.volumes.tmpfs.size", "services.volumes.tmpfs.mode"
)
def test_tmpfs_is_memory_with_its_size_and_mode(lab: Lab) -> None:
    lab.up(
        f"""
services:
  a:
    {SLEEP.replace(", ", chr(10) + "    ")}
    tmpfs: ["/one:size=4m,mode=1770", /two]
    volumes: [{{type: tmpfs, target: /three, tmpfs: {{size: 8m, mode: 0o700}}}}]
"""
    )
    for target, size, mode in (("/one", "size=4096k", 0o1770), ("/two", "", 0o1777), ("/three", "size=8192k", 0o700)):
        _, options, kind = mount_of(lab, "a", target)
        assert kind == "tmpfs"
        assert "nosuid" in options
        assert "nodev" in options
        assert not size or size in options
        assert inside(lab, "a", target).stat().st_mode & 0o7777 == mode
    lab.exec("a", "touch", "/two/x")
    lab.corral("restart", "-t", "0")
    assert lab.exec("a", "ls", "/two") == ""


@pytest.mark.key("services.volumes_from")
def test_volumes_from_shares_every_volume_of_the_other(lab: Lab) -> None:
    (lab.folder / "conf").mkdir()
    lab.up(
        f"""
services:
  keeper: {{{SLEEP}, volumes: ['data:/data', './conf:/conf:ro']}}
  reader: {{{SLEEP}, volumes_from: ['keeper:ro']}}
  writer: {{{SLEEP}, volumes_from: [keeper]}}
volumes: {{data: {{}}}}
"""
    )
    lab.exec("writer", "sh", "-c", "echo hello > /data/x")
    assert lab.exec("keeper", "cat", "/data/x") == lab.exec("reader", "cat", "/data/x") == "hello\n"
    lab.exec("reader", "touch", "/data/y", code=1)
    lab.exec("writer", "touch", "/conf/y", code=1)
    assert len({inode(inside(lab, name, "/data")) for name in ("keeper", "reader", "writer")}) == 1


@pytest.mark.key("services.volumes.image", "services.volumes.image.subpath")
def test_an_image_is_mounted_read_only(lab: Lab, rootfs: pathlib.Path) -> None:
    whole = f"{{type: image, source: 'rootfs:{rootfs}', target: /all}}"
    part = f"{{type: image, source: 'rootfs:{rootfs}', target: /part, image: {{subpath: bin}}}}"
    lab.up(f"services: {{a: {{{SLEEP}, volumes: [{whole}, {part}]}}}}\n")
    assert inode(inside(lab, "a", "/all")) == inode(rootfs)
    assert inode(inside(lab, "a", "/part")) == inode(rootfs / "bin")
    assert "Read-only file system" in lab.corral("exec", "-T", "a", "touch", "/all/x", code=1).stderr


def test_the_writable_layer_is_the_containers_own_and_the_image_is_never_changed(
    lab: Lab, rootfs: pathlib.Path
) -> None:
    before = sorted(str(path) for path in rootfs.rglob("*"))
    lab.up(f"services: {{a: {{{SLEEP}}}, b: {{{SLEEP}}}}}\n")
    lab.exec("a", "sh", "-c", "echo mine > /mine; rm /data/from-image; rm -r /www")
    assert "mine" not in lab.exec("b", "ls", "/")
    assert lab.exec("b", "cat", "/data/from-image") == "image\n"
    assert sorted(str(path) for path in rootfs.rglob("*")) == before
    lab.corral("restart", "-t", "0", "a")
    assert lab.exec("a", "cat", "/mine") == "mine\n", "a restart keeps it"
    lab.up("", "--force-recreate", "-t", "0")
    assert "mine" not in lab.exec("a", "ls", "/"), "a new container does not"


@pytest.mark.key("volumes.labels")
def test_a_volume_that_differs_is_not_replaced_by_itself(lab: Lab) -> None:
    """Data is sacred: what cannot be changed live is shown, and nothing is removed."""
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{}}}}\n")
    lab.exec("a", "touch", "/data/mine")
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{labels: {{x: '1'}}}}}}\n")
    assert "mine" in lab.exec("a", "ls", "/data")
    lab.up(f"services: {{a: {{{SLEEP}}}}}\n", "-t", "0")
    assert len(volume_folders(lab)) == 1, "no longer declared, still there"


def test_a_container_leaves_no_mount_on_the_host(lab: Lab) -> None:
    before = lab.machine.snapshot()["mounts"]
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['data:/data'], tmpfs: /t}}}}\nvolumes: {{data: {{}}}}\n")
    assert lab.machine.snapshot()["mounts"] == before
    assert eventually(lambda: lab.pid("a"))


def test_a_mount_goes_nowhere_but_into_the_container(lab: Lab) -> None:
    """A link in the image leads to the image's own root, not to the host's."""
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{}}}}\n")
    lab.exec("a", "sh", "-c", "rm -rf /var && ln -s /../../../../tmp /var")
    lab.corral("stop", "-t", "0")
    names = set(os.listdir("/tmp"))
    lab.up(
        f"services: {{a: {{{SLEEP}, volumes: ['data:/data', 'more:/var/deep']}}}}\nvolumes: {{data: {{}}, more: {{}}}}\n",
        "-t",
        "0",
    )
    assert "deep" not in set(os.listdir("/tmp")) - names


def test_down_v_after_a_down_still_removes_the_volumes(lab: Lab) -> None:
    lab.up(f"services: {{a: {{{SLEEP}, volumes: ['data:/data']}}}}\nvolumes: {{data: {{}}}}\n")
    lab.corral("down", "-t", "0")
    assert len(volume_folders(lab)) == 1
    lab.corral("down", "-v")
    assert volume_folders(lab) == []


@pytest.mark.key(
    "services.configs",
    "services.configs.source",
    "services.configs.target",
    "services.configs.uid",
    "services.configs.mode",
    "services.secrets",
    "services.secrets.source",
    "services.secrets.target",
    "services.secrets.uid",
    "services.secrets.mode",
    "services.configs.gid",
    "configs",
    "secrets",
    "configs.content",
    "secrets.file",
)
def test_configs_and_secrets_are_files_that_only_their_service_has(lab: Lab) -> None:
    text = """
        services:
          a:
            image: IMAGE
            command: sleep 1000
            init: true
            user: app
            network_mode: none
            configs: [plain, {source: plain, target: /etc/app/conf, mode: 0440, uid: "1000", gid: "1000"}]
            secrets: [token, {source: token, target: mine, uid: "1000", mode: 0400}]
          b: {image: IMAGE, init: true, command: sleep 1000, network_mode: none}
        configs: {plain: {content: "hello\\n"}}
        secrets: {token: {file: ./token}}
        """
    (lab.folder / "token").write_text("s3cret")
    lab.up(text)
    place = pathlib.Path(f"/proc/{lab.pid('a')}/root")
    assert (place / "plain").read_text() == "hello\n"
    conf = (place / "etc/app/conf").stat()
    assert (conf.st_mode & 0o7777, conf.st_uid, conf.st_gid) == (0o440, 1000, 1000)
    assert (place / "run/secrets/token").stat().st_mode & 0o7777 == 0o444
    assert lab.exec("a", "cat", "/run/secrets/mine") == "s3cret"
    lab.exec("a", "sh", "-c", "echo no > /run/secrets/mine", code=1)
    lab.exec("b", "cat", "/run/secrets/token", code=1)
    mounts = machine.read(f"/proc/{lab.pid('a')}/mountinfo").splitlines()
    assert all(" ro," in line or " ro " in line for line in mounts if "/run/secrets/" in line)
    kept = [path for path in lab.owner.root.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert all(not path.is_relative_to(lab.folder) for path in kept)
    assert {path.stat().st_mode & 0o077 for path in kept if path.parent.name != "files"} <= {0}
    (lab.folder / "token").write_text("changed-0451")
    said = lab.corral("plan", code=2).stdout
    assert "/run/secrets/mine has another content" in said
    assert "0451" not in said
    assert "s3cret" not in said
    before = lab.pids()
    lab.up()
    assert lab.exec("a", "cat", "/run/secrets/mine") == "changed-0451"
    assert lab.pids()["b-1"] == before["b-1"]
