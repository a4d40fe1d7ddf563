"""Let this machine's own programs (a browser, curl) find the project's containers by name. Never without being asked.

corral hosts on     from now on, as containers come and go, until `off` or `down`
corral hosts off    no longer
corral hosts        which names, as lines of /etc/hosts, and whether this machine has them

Where systemd-resolved answers this machine's programs, it is told to ask corral for the project's domain; else there is a
block of lines in /etc/hosts, which goes with the project. Names are whole ones: namenode.hadoop, not namenode.
"""

import argparse
from typing import Any

from orchestrator.command_line import invocation, output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wish", nargs="?", choices=("on", "off"), metavar="on|off", help="nothing: only say how it is")


def run(arguments: argparse.Namespace, called: invocation.Invocation) -> int:
    name = called.project_name()
    url = f"/v1/projects/{name}/hosts"
    if not arguments.wish:
        answer = called.ask("GET", url)
        for line in answer["lines"]:
            called.out.write(output.clean(f"{line['address']} {' '.join(line['names'])}") + "\n")
        called.note(words_of(name, answer))
        return 0
    from orchestrator import protocol

    answer = called.ask("POST", url, protocol.Hosts(arguments.wish == "on"))
    called.note(words_of(name, answer))
    return 1 if answer["problem"] else 0


def words_of(project: str, answer: dict[str, Any]) -> str:
    """Whether this machine has the names, and how."""
    if not answer["on"]:
        return f"this machine does not have the names of project {project}: `corral hosts on` gives them to it"
    if answer["problem"]:
        return f"this machine does not have the names of project {project}: {answer['problem']}"
    if answer["way"] == "hosts":
        return f"this machine has the names of project {project}, in {answer['place']}"
    return f"this machine has the names of project {project}: {answer['way']} asks {answer['place']}"
