"""The init's machine code is the text that its docstring shows."""

import os
import pathlib
import subprocess

import pytest

from engine.process import init_program


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="an assembler for another processor")
def test_the_code_is_what_the_text_says(tmp_path: pathlib.Path) -> None:
    assert init_program.__doc__
    lines = init_program.__doc__.split("\n\n")[2].splitlines()
    text = "\n".join(
        [".intel_syntax noprefix", ".equ CHILD, 0x12345678", *(line.partition(";")[0] for line in lines), ""]
    )
    done = subprocess.run(["as", "--64", "-o", "init.o"], input=text, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", "init.o", "init.bin"], cwd=tmp_path, check=True)
    assert (tmp_path / "init.bin").read_bytes() == init_program.code(0x12345678)


def test_a_processor_that_we_do_not_know_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_program, "MACHINE", {})
    assert init_program.image(2) == b""
