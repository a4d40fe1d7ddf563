"""A definition as a short text: the same as long as it says the same, also for a later version that knows more words."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

LENGTH = 16


def digest_of(value: Any) -> str:
    """Of models, dataclasses, and collections of these; what is at its default counts as not said."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:LENGTH]


def _plain(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(found) for field, found in _said(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(found) for found in value]
    return value


def _said(value: Any) -> Iterable[tuple[dataclasses.Field[Any], Any]]:
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if found != made:
            yield field, found
