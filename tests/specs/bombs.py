"""Files that would cost a machine its time or its memory, read one after the other: python -m tests.specs.bombs FOLDER

Prints a line of JSON for each: its name, the seconds of CPU that it took, and what was said of it."""

import json
import pathlib
import resource
import sys
import time
from collections.abc import Mapping

from specs import errors, loader, validate
from specs.normal import document as normal

MEMORY_BYTES = 500 << 20
HEAD = "services: {a: {image: host}}\n"
UNKNOWN = "services:\n  a:\n    image: host\n" + "".join(f"    unknown{number}: 1\n" for number in range(40_000))


def _aliases(leaf: str) -> str:
    lines = [f"x-a0: &a0 [{leaf}]"]
    lines += [f"x-a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, 10)]
    return "\n".join([*lines, HEAD])


BOMBS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "aliases": ({"compose.yaml": _aliases("x")}, "expand to more than 100000 nodes"),
    "aliases of a long text": (
        {
            "compose.yaml": f"x-t: &t '{'x$$' * 30_000}'\n{HEAD.replace('host}', 'host, command: [' + '*t, ' * 5_000 + ']}')}"
        },
        "expand to more than 100000 nodes",
    ),
    "merge keys": (
        {
            "compose.yaml": "x-a0: &a0 {k: v}\n"
            + "".join(f"x-a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 20)}], k{n}: v}}\n" for n in range(1, 9))
            + HEAD
        },
        "expand to more than 100000 nodes",
    ),
    "a file of 10 MB": ({"compose.yaml": HEAD + "# " + "x" * 10_000_000}, "has 4 MiB at most"),
    "an env file of 10 MB": ({"compose.yaml": HEAD, ".env": "A=" + "x" * 10_000_000}, "more than 1 MiB"),
    "deep nesting": ({"compose.yaml": f"x-a: {'[' * 100_000}"}, "nested deeper than 200 levels"),
    "deep nesting of blocks": (
        {"compose.yaml": "".join(f"{' ' * n}a:\n" for n in range(1_500))},
        "nested deeper than 200 levels",
    ),
    "a NUL byte": ({"compose.yaml": "services: {a: {image: h\0st}}\n"}, "compose.yaml:1:24: this is not YAML"),
    "a NUL escape": ({"compose.yaml": 'services: {a: {image: "h\\0st"}}\n'}, "has a NUL character"),
    "a NUL in an env file": ({"compose.yaml": HEAD, ".env": 'A="x\\0000"\n'}, "has a NUL character"),
    "keys that are numbers": ({"compose.yaml": "".join(f"{n}: x\n" for n in range(100_000))}, "a key is text"),
    "keys that are lists": ({"compose.yaml": "".join(f"? [a{n}]\n: x\n" for n in range(50_000))}, "a key is text"),
    "a key again and again": ({"compose.yaml": "a: 1\n" * 100_000}, "is given twice"),
    "unknown keys": ({"compose.yaml": UNKNOWN}, "unknown key 'unknown0'"),
    "a number of many digits": (
        {"compose.yaml": f"services: {{a: {{image: host, user: {'1' * 100_000}, scale: {'1' * 100_000}}}}}\n"},
        "scale",
    ),
    "defaults in defaults": (
        {"compose.yaml": f"services: {{a: {{image: '{'${A:-' * 20_000}x{'}' * 20_000}'}}}}\n"},
        "nested deeper than 500 levels",
    ),
    "defaults in defaults, not so many": (
        {"compose.yaml": f"services: {{a: {{image: '{'${A:-' * 400}x{'}' * 400}'}}}}\n"},
        "nested deeper than 100 levels",
    ),
    "many variables in a line": (
        {"compose.yaml": f"services: {{a: {{image: host, command: '{'${A:-}' * 50_000}', scale: x}}}}\n"},
        "'x' is not a whole number",
    ),
    "variables of variables": (
        {
            "compose.yaml": "services: {a: {image: $Z}}\n",
            ".env": f"A0={'x' * 1000}\n" + "".join(f"A{n}={f'$A{n - 1}' * 4}\n" for n in range(1, 30)) + "Z=$A29\n",
        },
        "longer than 128 KiB",
    ),
    "a long variable many times": (
        {
            "compose.yaml": f"services: {{a: {{image: host, command: [{', '.join(['$A'] * 5_000)}]}}}}\n",
            ".env": f"A={'x' * 100_000}\n",
        },
        "longer than 4 Mi characters",
    ),
    "ranges of ports": (
        {"compose.yaml": f"services: {{a: {{image: host, ports: [{', '.join(['1-60000'] * 500)}]}}}}\n"},
        "more than 65535 ports",
    ),
    "ranges of ports of many services": (
        {"compose.yaml": "services:\n" + "".join(f"  s{n}: {{image: host, ports: [1-65535]}}\n" for n in range(30))},
        "services.s1.ports[0]: more than 65535 ports",
    ),
    "replicas": (
        {"compose.yaml": "services: {a: {image: host, scale: 1000000000}}\n"},
        "1000000000 replicas are more than a machine has room for",
    ),
    "a long row of extends": (
        {
            "compose.yaml": "services:\n"
            + "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(3_000))
            + "  s3000: {image: host}\n"
        },
        "services extend each other more than 100 deep",
    ),
    "extends in a circle": (
        {"compose.yaml": "services:\n" + "".join(f"  s{n}: {{extends: s{(n + 1) % 90}}}\n" for n in range(90))},
        "a cycle: s0 → s1",
    ),
    "extends in a circle of files": (
        {
            "compose.yaml": "services: {a: {extends: {file: b.yaml, service: b}}}\n",
            "b.yaml": "services: {b: {extends: {file: compose.yaml, service: a}}}\n",
        },
        "a cycle: a → b → a",
    ),
    "includes in a circle": (
        {
            "compose.yaml": f"include: [{{path: [b.yaml, compose.yaml]}}]\n{HEAD}",
            "b.yaml": "services: {b: {image: host}}\n",
        },
        "a cycle: ",
    ),
    "includes that double": (
        {
            "compose.yaml": f"include: [f0.yaml]\n{HEAD}",
            **{f"f{n}.yaml": f"include: [f{n + 1}.yaml, f{n + 1}.yaml]\n" for n in range(30)},
            "f30.yaml": "services: {b: {image: host}}\n",
        },
        "more than 1000 files are included",
    ),
    "errors everywhere": (
        {
            "compose.yaml": "services:\n"
            + "".join(f"  s{n}: {{image: [], ports: x, nothing: 1}}\n" for n in range(10_000))
        },
        "unknown key 'nothing'",
    ),
    "a circle of dependencies": (
        {
            "compose.yaml": "services:\n"
            + "".join(f"  s{n}: {{image: host, depends_on: [s{(n + 1) % 1_000}]}}\n" for n in range(1_000))
        },
        "a cycle: s0 → s1",
    ),
}


def said_of(folder: pathlib.Path) -> str:
    """By `up`, after `config` had a look at it."""
    options = loader.LoadOptions(cwd=str(folder), environment={"HOME": "/h"}, project_name="p")
    for read in (lambda: normal.load(options), lambda: validate.project(loader.load(options).canonical)):
        try:
            read()
        except errors.SpecErrors as error:
            return str(error)
    return ""


def main(top: pathlib.Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    said_of(written(top / "warm", {"compose.yaml": HEAD}))
    for name, (files, _) in BOMBS.items():
        folder = written(top / name, files)
        before = time.process_time()
        said = said_of(folder)
        sys.stdout.write(json.dumps([name, time.process_time() - before, said[:20_000]]) + "\n")


def written(folder: pathlib.Path, files: Mapping[str, str]) -> pathlib.Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
