"""A directory is removed with all below it, whatever that is, and nothing else."""

import os
import pathlib

import anyio
import pytest

from engine import errors, trees

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("files", [0, 3, trees.FEW_ENTRIES, 3 * trees.FEW_ENTRIES])
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
    await trees.Remover().remove(str(top))
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
    await trees.Remover().remove(str(top))
    assert not top.exists()


async def test_one_that_is_gone_is_done(tmp_path: pathlib.Path) -> None:
    await trees.Remover().remove(str(tmp_path / "no"))


async def test_of_many_at_once_one_that_cannot_be_removed_fails_alone(tmp_path: pathlib.Path) -> None:
    remover, failed = trees.Remover(), []

    async def remove(name: str) -> None:
        try:
            await remover.remove(str(tmp_path / name))
        except errors.EngineError as error:
            failed.append((name, str(error)))

    for number in range(20):
        (tmp_path / f"{number}/a").mkdir(parents=True)
    async with anyio.create_task_group() as tasks:
        for name in ("0", "n" * 300, "no", *map(str, range(1, 20))):
            tasks.start_soon(remove, name)
    assert [name for name, _ in failed] == ["n" * 300]
    assert "too long" in failed[0][1]
    assert os.listdir(tmp_path) == []
