"""Projects made up of the forms that there are: several in a service, laid over each other by an override, by what is extended and
what is included, reset and overridden."""

import functools
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as some

from tests.conformance import comparing, forms

Files = Mapping[str, str]
SERVICES = ("a", "b", "c")
TAIL = "networks: {n: , m: }\nvolumes: {named: }\nsecrets: {s: {file: ./s}}\nconfigs: {c: {content: c}}\nmodels: {m: {model: m}}\n"
BESIDE = {**forms.BESIDE, "s": "s", ".env": "TAG=9\nPORT=8080\n"}


@functools.cache
def good() -> tuple[str, ...]:
    """The forms of a service's keys that are no error by themselves."""
    lines = [line for line in forms.SERVICE.strip().splitlines() if not line.startswith(("image:", "extends:"))]
    with tempfile.TemporaryDirectory() as folder:
        return tuple(line for line in lines if comparing.ours(_alone(pathlib.Path(folder), line), ()).model is not None)


def _alone(folder: pathlib.Path, line: str) -> pathlib.Path:
    write(folder, {"compose.yaml": f"services:\n  a:\n    image: x\n    {line}\n  b: {{image: x}}\n{TAIL}"})
    return folder


def write(folder: pathlib.Path, files: Files) -> None:
    for name, text in {**BESIDE, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _tagged(line: str, tag: str) -> str:
    key, _, value = line.partition(":")
    if tag == "!reset":
        return f"{key}: !reset null"
    return f"{key}: {tag} {value.strip()}" if tag and value.strip()[:1] not in ("", "&", "*", "!") else line


@some.composite
def _fields(draw: Any, *, is_over: bool) -> list[str]:
    """Lines of different keys. `is_over`: of a document that is laid over another."""
    found: dict[str, str] = {}
    for line in draw(some.lists(some.sampled_from(good()), max_size=5)):
        tag = draw(some.sampled_from(("", "", "", "", "!override", "!reset"))) if is_over else ""
        found.setdefault(line.partition(":")[0], _tagged(line, tag))
    return list(found.values())


@some.composite
def _services(draw: Any, *, names: tuple[str, ...], others: tuple[str, ...] = (), is_over: bool = False) -> str:
    """`others`: what they may extend besides each other."""
    text = "services:\n"
    for number, name in enumerate(names):
        lines = draw(_fields(is_over=is_over))
        if not is_over or draw(some.booleans()):
            lines = [draw(some.sampled_from(("image: x", "image: 'x:${TAG:-1}'", "image: x"))), *lines]
        candidates = [*names[:number], *others]
        if candidates and draw(some.integers(0, 3)) == 0:
            lines.append(f"extends: {draw(some.sampled_from(candidates))}")
        text += f"  {name}:\n" + "".join(f"    {line}\n" for line in lines or ["{}"])
    return text


@some.composite
def projects(draw: Any) -> Files:
    extends = "{file: sub/base.yaml, service: base}"
    files = {"compose.yaml": draw(_services(names=SERVICES, others=(extends,))) + TAIL}
    files["sub/base.yaml"] = draw(_services(names=("root", "base")))
    files["sub/one.env"] = "IN=sub\n"
    if draw(some.booleans()):
        files["compose.override.yaml"] = draw(_services(names=SERVICES[:2], is_over=True))
    if draw(some.integers(0, 3)) == 0:
        files["inc/compose.yaml"] = draw(_services(names=("i",))) + TAIL.replace("./s", "../s")
        files["inc/.env"] = "TAG=inc\n"
        files |= {f"inc/{name}": text for name, text in forms.BESIDE.items()}
        files["compose.yaml"] = f"include: [inc/compose.yaml]\n{files['compose.yaml']}"
    return files
