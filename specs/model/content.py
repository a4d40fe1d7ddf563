"""Configs and secrets, canonical, and how services have them."""

import base64
import posixpath

import pydantic

from specs.model import strict

DIRECTORY = {"configs": "/", "secrets": "/run/secrets/"}
DEFAULT_MODE = 0o444


class Content(strict.Model):
    """A config or a secret. One of `file` (absolute), `content` and `environment` says where `data` is from."""

    name: str
    file: str | None = None
    content: str | None = None
    environment: str | None = None
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
    data: str = ""

    @pydantic.field_validator("data")
    @classmethod
    def _is_base64(cls, text: str) -> str:
        base64.b64decode(text, validate=True)  # binascii.Error is a ValueError
        return text


class Use(strict.Model):
    """How a service has a config or a secret. `target` "": below the usual place, under the name of `source`."""

    source: str
    target: str = ""
    uid: str = "0"
    gid: str = "0"
    mode: int = pydantic.Field(DEFAULT_MODE, ge=0, le=0o7777)


def target_of(section: str, use: Use) -> str:
    """Where it is in the container, absolute."""
    return posixpath.normpath(posixpath.join(DIRECTORY[section], use.target or use.source))
