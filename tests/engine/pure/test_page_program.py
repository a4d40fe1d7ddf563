"""The machine code that shares pages is the text that its docstring shows."""

import os
import pathlib
import subprocess

import pytest

from engine.process import page_program


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="an assembler for another processor")
def test_the_code_is_what_the_text_says(tmp_path: pathlib.Path) -> None:
    assert page_program.__doc__
    _, _, _, *functions, _ = page_program.__doc__.split("\n\n")
    lines = [line.partition(";")[0] for text in functions for line in text.splitlines()]
    text = "\n".join([".intel_syntax noprefix", *lines, ""])
    done = subprocess.run(["as", "--64", "-o", "pages.o"], input=text, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", "pages.o", "pages.bin"], cwd=tmp_path, check=True)
    assert (tmp_path / "pages.bin").read_bytes() == page_program.code()


def test_a_processor_that_we_do_not_know_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_program, "MACHINES", ())
    assert page_program.code() == b""
