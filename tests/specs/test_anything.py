"""Whatever is written, the user gets a project or a list of what is wrong, never a traceback."""

import json
import pathlib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from specs import errors, loader, validate
from specs.keys import shapes
from specs.keys.document import DOCUMENT
from specs.normal import document as normal
from specs.normal import render

HARD = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
texts = some.one_of(
    some.text(max_size=8),
    some.sampled_from(
        ["", ":", "a:b", "/a:/b", "80", "80:80", "1m", "$A", "${A:-b}", "${", "x=", "=", "bind", "host", "b:", "1-2"]
    ),
)
leaves = some.one_of(some.none(), some.booleans(), some.integers(), some.floats(allow_nan=False), texts)
anything = some.recursive(
    leaves,
    lambda inner: some.one_of(some.lists(inner, max_size=3), some.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def written(shape: shapes.Shape) -> some.SearchStrategy[Any]:
    """What mostly has the shape."""
    match shape:
        case shapes.Keys():
            children = {key: some.one_of(written(child), anything) for key, child in shape.known.items()}
            return some.dictionaries(some.sampled_from(sorted(children)), some.none(), max_size=4).flatmap(
                lambda chosen: some.fixed_dictionaries({key: children[key] for key in chosen})
            )
        case shapes.Entries():
            return some.dictionaries(some.sampled_from(["a", "b", "default"]), written(shape.value), max_size=2)
        case shapes.Items():
            return some.lists(written(shape.item), max_size=3)
        case shapes.Either():
            return some.one_of(*map(written, shape.options))
    return leaves


def load(folder: pathlib.Path, *files: str) -> tuple[loader.Loaded | None, tuple[errors.SpecError, ...]]:
    try:
        options = loader.LoadOptions(files, "p", any_image=True, environment={}, cwd=str(folder))
        return loader.load(options), ()
    except errors.SpecErrors as error:
        return None, error.errors


def load_normal(folder: pathlib.Path, *files: str) -> tuple[normal.Normal | None, tuple[errors.SpecError, ...]]:
    try:
        return normal.load(loader.LoadOptions(files, "p", environment={}, cwd=str(folder))), ()
    except errors.SpecErrors as error:
        return None, error.errors


def wrong_with(loaded: loader.Loaded) -> tuple[errors.SpecError, ...]:
    try:
        validate.project(loaded.canonical)
        return ()
    except errors.SpecErrors as error:
        return error.located(loaded).errors


@HARD
@given(first=written(DOCUMENT), second=written(DOCUMENT))
def test_any_two_documents(tmp_path: pathlib.Path, first: Any, second: Any) -> None:
    for name, document in (("a.yaml", first), ("b.yaml", second)):
        (tmp_path / name).write_text(json.dumps(document))
    loaded, found = load(tmp_path, "a.yaml", "b.yaml")
    shown, wrong = load_normal(tmp_path, "a.yaml", "b.yaml")
    assert (shown is None) == bool(wrong)
    assert all(each.message and each.line and str(each).startswith(f"{each.file}:") for each in wrong)
    if shown is not None:
        json.dumps(shown.document)
        render.text(shown.document)
    assert (loaded is None) == bool(found)
    if loaded is not None:
        json.dumps(loaded.canonical)
        found = wrong_with(loaded)
    assert all(each.message and each.line and str(each).startswith(f"{each.file}:") for each in found)


@HARD
@given(text=some.text("ab:-?&*!|>'\"%@`{}[], #\n\t~0<.1x", max_size=40))
def test_any_text(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    _, found = load(tmp_path, "a.yaml")
    assert all(each.line and each.column for each in found)
