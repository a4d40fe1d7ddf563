"""The project as a guest gets it: a tar archive of the checkout's code and tests, compiled, so that the guest need not."""

import os
import py_compile
import tarfile
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
FOLDERS = ("specs", "reconciler", "engine", "orchestrator", "tests", "packaging", "docs", "examples")
FILES = ("pyproject.toml", "Makefile")
LEFT_OUT = ("__pycache__", ".cache", "artifacts")


def write(path: Path) -> None:
    """Write the archive to `path`."""
    with tarfile.open(path, "w") as archive, tempfile.TemporaryDirectory() as workplace:
        for name in FILES:
            archive.add(TOP / name, name)
        for folder in FOLDERS:
            for top, folders, names in os.walk(TOP / folder):
                folders[:] = [each for each in folders if each not in LEFT_OUT]
                for name in names:
                    add(archive, Path(top) / name, Path(workplace))


def add(archive: tarfile.TarFile, path: Path, workplace: Path) -> None:
    within = path.relative_to(TOP)
    archive.add(path, str(within))
    if path.suffix == ".py":
        compiled = py_compile.compile(
            str(path),
            cfile=str(workplace / "compiled"),
            dfile=f"/opt/corral/{within}",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        archive.add(str(compiled), str(within.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc"))
