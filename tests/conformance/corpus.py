"""Every compose file and env file below a folder, and the merge cases beside them, as cases to compare."""

import json
import os
import pathlib
from collections.abc import Iterator

from specs.files import surroundings
from tests.conformance.comparing import Case

MERGE_CASES = "merge-cases.json"
_SUFFIXES = (".yaml", ".yml")


def cases(corpus: pathlib.Path, scratch: pathlib.Path) -> Iterator[Case]:
    """Each file by itself; each folder in which compose would find one, with its override; each env file, as that of a
    service; each merge case. What is not there is written below `scratch`."""
    for folder, folders, files in os.walk(corpus):
        folders.sort()
        here = pathlib.Path(folder)
        shown = here.relative_to(corpus)
        for name in sorted(files):
            if name.endswith(_SUFFIXES):
                yield Case(str(shown / name), here, (name,))
            elif "env" in name:
                yield _of_env_file(here / name, str(shown / name), scratch)
        if set(files) & set(surroundings.FILE_NAMES):
            yield Case(f"{shown}/", here)
    if (merges := corpus / MERGE_CASES).exists():
        yield from _merges(json.loads(merges.read_text()), scratch)


def _of_env_file(file: pathlib.Path, name: str, scratch: pathlib.Path) -> Case:
    folder = scratch / "env-files" / name
    folder.mkdir(parents=True)
    service = {"image": "x", "env_file": [str(file)]}
    (folder / "compose.yaml").write_text(json.dumps({"services": {"a": service}}))
    return Case(name, folder)


def _merges(given: list[dict[str, str]], scratch: pathlib.Path) -> Iterator[Case]:
    for number, case in enumerate(given):
        folder = scratch / f"merge-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "base.yaml").write_text(case["base"])
        (folder / "override.yaml").write_text(case["override"])
        yield Case(f"{MERGE_CASES}: {case['test']}", folder, ("base.yaml", "override.yaml"))
