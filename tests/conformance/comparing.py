"""One project held against the oracle: the same verdict, and the same canonical model."""

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from specs import errors, loader
from specs.normal import document as normal
from tests.conformance import oracle
from tests.conformance.oracle import HERE

ACCEPTED, REFUSED = "accepted", "refused"
_MISSING = object()


class Case(NamedTuple):
    """`name` is what it is called in the report. `files` relative to the folder; none: those that are found there."""

    name: str
    folder: pathlib.Path
    files: tuple[str, ...] = ()


class Deviation(NamedTuple):
    """`path` "" is the verdict itself, else where the models differ, as `services.web.ports[0]`. `said`: whatever reason the
    one that refuses gave."""

    case: str
    path: str
    ours: str
    theirs: str
    said: str = ""

    def __str__(self) -> str:
        where = f"{self.case}: {self.path or 'verdict'}"
        return f"{where}\n    ours:   {self.ours}\n    theirs: {self.theirs}" + (
            f"\n    {self.said}" if self.said else ""
        )


def ours(folder: pathlib.Path, files: Sequence[str]) -> oracle.Answer:
    """What `corral config --format json` prints, without a process of its own."""
    options = loader.LoadOptions(
        files=tuple(files), project_name=oracle.PROJECT, environment=oracle.ENVIRONMENT, cwd=str(folder)
    )
    try:
        return oracle.Answer(json.loads(json.dumps(normal.load(options).document).replace(str(folder), HERE)))
    except errors.SpecErrors as error:
        return oracle.Answer(None, str(error))


def deviations(case: Case, theirs: oracle.Answer) -> list[Deviation]:
    own = ours(case.folder, case.files)
    if own.model is None or theirs.model is None:
        verdicts = [REFUSED if answer.model is None else ACCEPTED for answer in (own, theirs)]
        if verdicts[0] == verdicts[1]:
            return []
        return [Deviation(case.name, "", *verdicts, said=own.said or theirs.said)]
    return [
        Deviation(case.name, path, _shown(mine), _shown(other))
        for path, mine, other in differing(own.model, theirs.model)
    ]


def differing(mine: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every place where the two are not the same, as deep as can be said."""
    if isinstance(mine, dict) and isinstance(other, dict):
        for key in sorted(mine.keys() | other.keys()):
            below = f"{path}.{key}" if path else key
            yield from differing(mine.get(key, _MISSING), other.get(key, _MISSING), below)
    elif isinstance(mine, list) and isinstance(other, list) and len(mine) == len(other):
        for index, (one, two) in enumerate(zip(mine, other, strict=True)):
            yield from differing(one, two, f"{path}[{index}]")
    elif mine != other or isinstance(mine, bool) != isinstance(other, bool):
        yield path, mine, other


def _shown(value: Any) -> str:
    return "nothing" if value is _MISSING else json.dumps(value, ensure_ascii=False)
