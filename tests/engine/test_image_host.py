"""The image `host` shows programs and readable settings, and nothing that somebody forgot to hide."""

import os
import pathlib

import pytest

from engine import errors
from engine.images import host
from engine.images.store import ImageStore
from engine.types.configs import ImageConfig

pytestmark = pytest.mark.root


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> pathlib.Path:
    top = tmp_path / "machine"
    for name in ("usr/bin", "etc/ssl/private", "etc/app.d", "root/.ssh", "home/ann", "var/lib/db", "secret-new-folder"):
        (top / name).mkdir(parents=True)
    for name in ("bin", "lib"):
        (top / name).symlink_to(f"usr/{name}")
    for name in (
        "etc/shadow",
        "etc/ssl/private/key.pem",
        "etc/app.d/open.conf",
        "etc/hosts",
        "root/.ssh/id",
        "etc/passwd",
    ):
        (top / name).write_text(name)
    (top / "etc/shadow").chmod(0o640)
    (top / "etc/ssl/private").chmod(0o710)
    (top / "etc/app.d/link").symlink_to("open.conf")
    return top


def test_only_what_is_on_the_list_is_there(machine: pathlib.Path, tmp_path: pathlib.Path) -> None:
    layers = host.layers(str(tmp_path / "images"), str(machine))
    assert [layer.target for layer in layers] == ["/", "/usr"]
    skeleton = pathlib.Path(layers[0].lowers[0])
    found = sorted(str(p.relative_to(skeleton)) for p in skeleton.rglob("*"))
    expected = {name for name, _ in host.SKELETON} | {"usr", "bin", "lib", "var/run", "var/lock"}
    expected |= {
        f"etc/{n}" for n in ("app.d", "app.d/open.conf", "app.d/link", "fstab", "machine-id", "mtab", "passwd", "ssl")
    }
    assert found == sorted(expected)
    assert os.readlink(skeleton / "bin") == "usr/bin"


def test_a_changed_etc_gives_a_new_skeleton_beside_the_old(machine: pathlib.Path, tmp_path: pathlib.Path) -> None:
    images = str(tmp_path / "images")
    first = host.layers(images, str(machine))[0].lowers[0]
    assert host.layers(images, str(machine))[0].lowers[0] == first
    (machine / "etc" / "new.conf").write_text("x")
    second = host.layers(images, str(machine))[0].lowers[0]
    assert second != first
    assert os.path.isdir(first)
    host.sweep(images, used={first}, machine=str(machine))
    assert os.path.isdir(first)
    host.sweep(images, used=set(), machine=str(machine))
    assert sorted(os.listdir(os.path.join(images, "host"))) == [os.path.basename(second)]


@pytest.mark.parametrize("reference", ["busybox:latest", "rootfs:relative", "rootfs:", "rootfs:/no/such/directory"])
def test_an_image_that_cannot_be_served_says_why(reference: str, tmp_path: pathlib.Path) -> None:
    images = ImageStore(str(tmp_path))
    with pytest.raises(errors.TerminalEngineError, match=f"cannot use image {reference}"):
        images.ensure(ImageConfig(reference))
    assert images.infos() == ()


def test_a_root_directory_that_is_replaced_is_another_image(tmp_path: pathlib.Path) -> None:
    images, directory = ImageStore(str(tmp_path / "images")), tmp_path / "root"
    directory.mkdir()
    images.ensure(ImageConfig(f"rootfs:{directory}"))
    before = images.infos()[0].uid
    directory.rename(tmp_path / "old")
    directory.mkdir()
    images.look_again()
    assert images.infos()[0].uid != before
    directory.rmdir()
    images.look_again()
    assert images.infos() == ()
