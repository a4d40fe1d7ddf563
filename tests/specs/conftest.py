import pathlib
import textwrap
from collections.abc import Mapping
from typing import Any

import pytest

from specs import errors, loader, validate
from specs.model.project import Project
from specs.normal import document as normal
from specs.normal.manner import WHOLE, Manner


class Folder:
    """A folder of a user's, with what he writes into it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))

    def load(self, text: str = "", **options: Any) -> loader.Loaded:
        if text:
            self.write({"compose.yaml": text})
        given: dict[str, Any] = {"environment": {"HOME": "/home/me"}, "cwd": str(self.path), "project_name": "p"}
        return loader.load(loader.LoadOptions(**{**given, **options}))

    def normal(self, text: str = "", manner: Manner = WHOLE, **options: Any) -> normal.Normal:
        """What `config` has of the files."""
        if text:
            self.write({"compose.yaml": text})
        given: dict[str, Any] = {"environment": {"HOME": "/home/me"}, "cwd": str(self.path), "project_name": "p"}
        return normal.load(loader.LoadOptions(**{**given, **options}), manner)

    def complaint_of_config(self, text: str, **options: Any) -> str:
        """What `config` tells the user about the file, of which something must be wrong for any engine."""
        with pytest.raises(errors.SpecErrors) as refused:
            self.normal(text, **options)
        return str(refused.value).replace(str(self.path), "/here")

    def service(self, fields: str, **options: Any) -> dict[str, Any]:
        """The canonical service that has these fields beside its image."""
        text = "services:\n  a:\n    image: host\n" + textwrap.indent(textwrap.dedent(fields), "    ")
        services: dict[str, Any] = self.load(text, **options).canonical["services"]
        found: dict[str, Any] = services["a"]
        return found

    def project(self, text: str, **options: Any) -> Project:
        return validate.project(self.load(text, **options).canonical)

    def complaint(self, text: str, **options: Any) -> str:
        """What the user is told about the file, of which something must be wrong."""
        try:
            loaded = self.load(text, **options)
            try:
                validate.project(loaded.canonical)
            except errors.SpecErrors as error:
                raise error.located(loaded) from error
        except errors.SpecErrors as error:
            return str(error).replace(str(self.path), "/here")
        pytest.fail("nothing was wrong")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Folder:
    return Folder(tmp_path)
