"""Copy files and folders to or from containers, whether they run or not.

    corral cp web:/etc/hosts .              out of a container
    corral cp ./site web:/www               into all containers of the service, or into the one of --index
    corral cp web:/www/. ./backup           what is in the folder, not the folder itself
    corral cp web:/www - | tar -t           as a tar stream; `corral cp - web:/www` takes one, compressed or not

As `docker cp`: a folder that is not there is made and filled; one that is there gets the copy inside of it; folders above are not
made. Into a container everything becomes root's, out of it yours; set-uid bits, capabilities of programs, devices, and links that
lead out of the copy are left out then. Extended attributes of users (user.*) go along, in a tar stream as SCHILY.xattr.*.
"""

import argparse

from orchestrator import errors
from orchestrator.command_line import invocation

NUMBER_LABEL = "com.docker.compose.container-number="


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "corral cp [OPTIONS] SERVICE:PATH LOCAL|-\n       corral cp [OPTIONS] LOCAL|- SERVICE:PATH"
    add = parser.add_argument
    add("-a", "--archive", action="store_true", help="keep uid and gid (out of a container: if you are root)")
    add("-L", "--follow-link", action="store_true", help="copy what the source leads to, where it is a link")
    add("--index", type=int, metavar="N", help="which container of the service, from 1 (default: out of 1, into all)")
    add("--all", action="store_true", help="into all containers of the service (always so, without --index)")
    add("source", metavar="SOURCE", help="SERVICE:PATH, a local path, or - for a tar stream")
    add("target", metavar="TARGET", help="a local path, - for a tar stream, or SERVICE:PATH")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    source, target = parted(arguments.source), parted(arguments.target)
    if source[0] and target[0]:
        raise errors.UsageError("corral cp: cannot copy from a container to a container", hint="by way of a local path")
    if not source[0] and not target[0]:
        raise errors.UsageError("corral cp: neither is in a container", hint="corral cp SERVICE:PATH LOCAL")
    if arguments.index is not None and arguments.all:
        raise errors.UsageError(
            "corral cp: --index names one container, and --all all of them", hint="give one of them"
        )
    return inward(arguments, called, target) if target[0] else outward(arguments, called, source)


def parted(text: str) -> tuple[str, str]:
    """(service, path); service "" for a local path: one with a / or a . before any colon."""
    service, colon, path = text.partition(":")
    if not colon or "/" in service or service.startswith(".") or not service:
        return "", text
    return service, path or "/"


def outward(arguments: argparse.Namespace, called: invocation.Invocation, source: tuple[str, str]) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import copying

    number = arguments.index or 1
    request = protocol.Copy(source[0], source[1], inward=False, number=number, follow=arguments.follow_link)
    descriptor = called.receive_descriptor(f"/v1/projects/{called.project_name()}/copy", request)
    if arguments.target == "-":
        if called.out.isatty():
            import os

            os.close(descriptor)
            raise errors.UsageError("corral cp: a tar stream is nothing for a terminal", hint="`> FILE`, or `| tar -t`")
        return report(called, copying.to_stream(descriptor))

    def target(from_directory: bool) -> tuple[int, str]:
        return copying.target_of(arguments.target, from_directory=from_directory)

    return report(called, copying.out_of(descriptor, target, keep_owners=arguments.archive))


def inward(arguments: argparse.Namespace, called: invocation.Invocation, target: tuple[str, str]) -> int:
    from orchestrator import protocol
    from orchestrator.command_line import copying

    url = f"/v1/projects/{called.project_name()}"
    source = copying.source_of(arguments.source, follow=arguments.follow_link)
    numbers = [arguments.index] if arguments.index is not None else replicas(called, url, target[0])
    if source.place < 0 and len(numbers) > 1:
        raise errors.UsageError("corral cp: one tar stream is for one container", hint="say which with --index")
    notes = []
    for number in numbers:
        request = protocol.Copy(
            *target,
            inward=True,
            number=number,
            base=source.base,
            is_directory=source.is_directory,
            keep_owners=arguments.archive,
        )
        notes += copying.into(called.receive_descriptor(f"{url}/copy", request), source)
    return report(called, notes)


def replicas(called: invocation.Invocation, url: str, service: str) -> list[int]:
    """The numbers of a service's containers, 0 being that of a step before them; 1 where there is none, which the daemon has the
    words for."""
    rows = called.ask("GET", f"{url}/containers")["containers"]
    labels = (row["Labels"].split(",") for row in rows if row["Service"] == service)
    found = [int(each.removeprefix(NUMBER_LABEL)) for row in labels for each in row if each.startswith(NUMBER_LABEL)]
    return sorted(number for number in found if number) or [1]


def report(called: invocation.Invocation, notes: list[tuple[str, str]]) -> int:
    """1 where not everything was copied as it is."""
    from orchestrator.command_line import copying, output

    for line in copying.told(notes):
        called.err.write(f"corral: not copied: {output.clean(line)}\n")
    return 1 if notes else 0
