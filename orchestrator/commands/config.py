"""Check the compose files and print the project in full, as docker compose does: all that they say, and what follows from it.

corral config              as YAML
corral config web          this service, and those that it depends on
corral config -q           only check; exit code 1 and the errors if something is wrong
corral config --services   only the names of the services
corral config --explain services.web.environment.MODE
                           which file, line and step the value is from, and what it replaced; of a service: all that it says
corral config --lint       what is allowed, and bites later

What docker compose takes and `up` would refuse is said on standard error.
"""

import argparse
from typing import TYPE_CHECKING, Any

from orchestrator import errors
from orchestrator.command_line import invocation

if TYPE_CHECKING:
    from specs import loader
    from specs.normal import document as normal
    from specs.normal.manner import Manner

LISTS = ("environment", "hash", "images", "models", "networks", "profiles", "services", "variables", "volumes")
"""Flags in place of which lists are printed."""


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("only", nargs="*", metavar="SERVICE", help="only these services, and those that they depend on")
    add("--format", default="yaml", choices=("yaml", "json"), help="yaml (default) or json")
    add("-o", "--output", default="", metavar="FILE", help="write it to a file")
    add("-q", "--quiet", action="store_true", help="only check, print nothing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--services", action="store_true", help="only the names of the services")
    what.add_argument("--volumes", action="store_true", help="only the names of the volumes")
    what.add_argument("--networks", action="store_true", help="only the names of the networks")
    what.add_argument("--models", action="store_true", help="only the names of the models")
    what.add_argument("--images", action="store_true", help="only the images of the services")
    what.add_argument("--profiles", action="store_true", help="only the profiles that services name")
    what.add_argument("--hash", default="", metavar="SERVICE,…", help="a digest of what each says; '*': of all")
    what.add_argument("--variables", action="store_true", help="only the variables that the files name")
    what.add_argument("--environment", action="store_true", help="only the variables that there are to fill in")
    what.add_argument("--explain", default="", metavar="PATH", help="where the value is from, and what it replaced")
    what.add_argument("--lint", action="store_true", help="what is allowed, and bites later")
    add("--strict", action="store_true", help="with --lint: exit code 1 if anything bites")
    add("--no-interpolate", action="store_true", help="leave variables as they are written")
    add("--no-normalize", action="store_true", help="leave out what follows from the rest: full names, networks, …")
    add("--no-path-resolution", action="store_true", help="leave relative paths as they are")
    add("--no-consistency", action="store_true", help="do not check whether the parts fit together")
    add("--no-env-resolution", action="store_true", help="do not read the files of env_file")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    from specs.normal import document as normal

    manner = manner_of(arguments)
    if arguments.explain:
        from orchestrator.command_line import explained

        return explained.run(arguments.explain, manner, called, as_json=arguments.format == "json")
    if arguments.lint:
        from orchestrator.command_line import linting

        only, as_json = tuple(arguments.only), arguments.format == "json"
        return linting.run(manner, only, called, as_json=as_json, is_strict=arguments.strict)
    prepared = called.prepare(tuple(arguments.only), fill_in=manner.interpolate)
    found = called.of_files(lambda: normal.of(prepared, manner))
    if _is_whole(arguments):
        check(prepared, called, found.notes)
    text = text_of(found, arguments)
    if arguments.output and not arguments.quiet:
        _write(arguments.output, text)
    elif not arguments.quiet:
        called.out.write(text)
    return 0


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise errors.UsageError(f"cannot write {path}: {error.strerror}") from error


def manner_of(arguments: argparse.Namespace) -> "Manner":
    from specs.normal.manner import Manner

    return Manner(
        interpolate=not (arguments.no_interpolate or arguments.variables),
        normalise=not arguments.no_normalize,
        resolve_paths=not arguments.no_path_resolution,
        check=not (arguments.no_consistency or arguments.environment),
        resolve_environment=not arguments.no_env_resolution,
    )


def _is_whole(arguments: argparse.Namespace) -> bool:
    """Whether the question is what the files mean, all of it."""
    parts = [f"no_{part}" for part in ("interpolate", "normalize", "path_resolution", "consistency", "env_resolution")]
    return not any(getattr(arguments, name) for name in (*parts, *LISTS))


def check(prepared: "loader.Prepared", called: invocation.Invocation, told: tuple[str, ...]) -> None:
    """Say what `up` would refuse of it, and what else there is to say beside what was told. Files that say x-corral are written
    for corral: there it is an error. Raises InvalidFiles."""
    from specs import errors as spec_errors
    from specs import loader
    from specs import validate as validating

    try:
        loaded = loader.finish(prepared)
        try:
            validating.project(loaded.canonical)
        except spec_errors.SpecErrors as error:
            raise error.located(loaded) from error
    except spec_errors.SpecErrors as error:
        if prepared.says_ours:
            raise invocation.invalid_files(error) from error
        for each in error.errors:
            called.note(f"up refuses this: {each}")
        return
    for note in loaded.notes:
        if note not in told:
            called.note(note)


def text_of(found: "normal.Normal", arguments: argparse.Namespace) -> str:
    """What is printed."""
    import json

    from specs.normal import render

    document = found.document
    if arguments.variables:
        return _variables(found, as_json=arguments.format == "json")
    if arguments.environment:
        return "".join(f"{name}={value}\n" for name, value in sorted(found.variables.items()))
    if arguments.hash:
        return _hashes(document, arguments.hash)
    if arguments.images:
        return _lines(_image(name, service, document) for name, service in sorted(document["services"].items()))
    if arguments.profiles:
        return _lines(found.profiles)
    for section in ("services", "volumes", "networks", "models"):
        if getattr(arguments, section):
            return _lines(sorted(document.get(section, ())))
    if arguments.format == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return render.text(document)


def _lines(words: Any) -> str:
    return "".join(f"{word}\n" for word in words)


def _image(name: str, service: dict[str, Any], document: dict[str, Any]) -> str:
    return str(service.get("image") or f"{document['name']}-{name}")


def _hashes(document: dict[str, Any], named: str) -> str:
    """Of what each service says, but for what changes nothing that runs: the same text, the same digest."""
    import hashlib
    import json

    services = document["services"]
    names = sorted(services) if named == "*" else named.split(",")
    if missing := [name for name in names if name not in services]:
        raise errors.UsageError(f"no such service: {missing[0]}")
    idle = ("build", "depends_on", "profiles", "pull_policy", "scale")
    said = {name: {key: value for key, value in services[name].items() if key not in idle} for name in names}
    texts = {name: json.dumps(fields, sort_keys=True) for name, fields in said.items()}
    return _lines(f"{name} {hashlib.sha256(text.encode()).hexdigest()}" for name, text in texts.items())


def _variables(found: "normal.Normal", *, as_json: bool) -> str:
    from specs.telling import written_variables

    named = written_variables.of_document(found.root)
    if as_json:
        import json

        keys = {"name": "Name", "default": "DefaultValue", "alternate": "PresenceValue", "required": "Required"}
        shown = {each.name: {key: getattr(each, field) for field, key in keys.items()} for each in named}
        return json.dumps(shown, indent=4, ensure_ascii=False) + "\n"
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    rows += [(each.name, str(each.required).lower(), each.default, each.alternate) for each in named]
    widths = [max(20, *(len(row[column]) + 3 for row in rows)) for column in range(3)]
    return _lines(
        "".join(f"{cell:{width}}" for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    )
