"""A laboratory for each test: a project of its own in a corral that the tests of one file share, on a machine of its own.

After each test nothing of its project may be left, after each file nothing of its corral. A failure keeps what one wants to
see of it below artifacts/e2e/, and the next test begins with a new corral.
"""

import contextlib
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests import slowness
from tests.e2e.lab import Corral, Lab
from tests.e2e.machine import Machine

HERE = pathlib.Path(__file__).parent
FAILED = pytest.StashKey[bool]()
WHO = "#!/bin/sh\necho; echo $REMOTE_ADDR\n"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.root)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(120))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        if report.when == "call" and isinstance(lab := getattr(item, "funcargs", {}).get("lab"), Lab):
            lab.keep_artifacts(item.nodeid.rpartition("/")[2])
    return report


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A busybox root: small, and no part of the machine's."""
    top = tmp_path_factory.mktemp("busybox")
    for name in ("bin", "etc", "tmp", "var", "root", "dev", "proc", "sys", "run", "data", "www/cgi-bin"):
        (top / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", top / "bin/busybox")
    for applet in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (top / "bin" / applet).symlink_to("busybox")
    (top / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n")
    (top / "etc/group").write_text("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
    (top / "data/from-image").write_text("image\n")
    (top / "www/index.html").write_text("hello\n")
    (top / "www/cgi-bin/who").write_text(WHO)
    (top / "www/cgi-bin/who").chmod(0o755)
    (top / "tmp").chmod(0o1777)
    top.chmod(0o755)
    return top


class Corrals:
    """One corral at a time; a new one after a failure."""

    def __init__(self, rootfs: pathlib.Path) -> None:
        self._rootfs = rootfs
        self._corral: Corral | None = None

    def get(self) -> Corral:
        if self._corral and self._corral.failed:  # which was reported
            with contextlib.suppress(AssertionError, pytest.fail.Exception):
                self.end()
        if not self._corral:
            self._corral = Corral(Machine(), self._rootfs)
        return self._corral

    def end(self) -> None:
        corral, self._corral = self._corral, None
        if corral:
            try:
                corral.end()
            finally:
                corral.machine.close()


def lifetime(fixture_name: str, config: pytest.Config) -> str:
    """Of a corral: the tests of one file. A daemon starts in a second, or in half a minute on an emulated machine."""
    return "module" if slowness.FACTOR == 1 else "session"


@pytest.fixture(scope=lifetime)
def corrals(rootfs: pathlib.Path) -> Iterator[Corrals]:
    found = Corrals(rootfs)
    yield found
    found.end()


@pytest.fixture
def lab(corrals: Corrals) -> Iterator[Lab]:
    """An empty project folder."""
    with corrals.get().lab() as laboratory:
        yield laboratory
