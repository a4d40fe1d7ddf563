"""A directory is removed with all below it, whatever that is, and nothing else."""

import os
import pathlib

import pytest

from engine import trees

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("files", [0, 3, trees.FEW, 3 * trees.FEW])
async def test_little_and_much_is_removed_and_links_are_not_followed(tmp_path: pathlib.Path, files: int) -> None:
    kept, top = tmp_path / "kept", tmp_path / "top"
    kept.mkdir()
    (kept / "file").write_text("")
    (top / "a/b").mkdir(parents=True)
    (top / "a/link").symlink_to(kept)
    (top / "a/b/file-link").symlink_to(kept / "file")
    (top / "nowhere").symlink_to("/no/such/place")
    for number in range(files):
        (top / f"a/b/{number}").write_text("")
    await trees.remove(str(top))
    assert not top.exists()
    assert os.listdir(kept) == ["file"]


async def test_paths_that_are_too_long_for_a_name_are_removed(tmp_path: pathlib.Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=here)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    await trees.remove(str(top))
    assert not top.exists()


async def test_what_is_not_there_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        await trees.remove(str(tmp_path / "no"))
