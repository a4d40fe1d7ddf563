"""A path is resolved below a root, whatever happens on the machine meanwhile."""

import os
import pathlib
import threading

from engine.process import syscalls


def test_renames_elsewhere_on_the_machine_do_not_fail_a_path_with_dots(tmp_path: pathlib.Path) -> None:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/link").symlink_to("../../a/../a/b/../b")
    (tmp_path / "elsewhere").mkdir()
    over = threading.Event()

    def rename() -> None:
        ways = [str(tmp_path / f"elsewhere/{name}") for name in ("one", "two")]
        os.mkdir(ways[0])
        while not over.is_set():
            os.rename(*ways)
            os.rename(*reversed(ways))

    other = threading.Thread(target=rename, daemon=True)
    root = os.open(tmp_path / "root", os.O_PATH)
    other.start()
    try:
        for _ in range(3_000):
            os.close(syscalls.openat2(root, "a/b/link", os.O_PATH, syscalls.RESOLVE_IN_ROOT))
    finally:
        over.set()
        other.join()
        os.close(root)
