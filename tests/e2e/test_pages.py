"""The pages of a project, opened from the machine where `corral urls` says they are."""

import json
import sys

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab

PAGES = """
services:
  web:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    scale: 2
    x-corral: {pages: {Status: 80, Who: 80/cgi-bin/who}}
  published:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    ports: ["80"]
    networks: [inner, default]
    x-corral: {pages: {Front: 80/index.html}}
  hidden:
    image: IMAGE
    command: httpd -f -p 80 -h /www
    networks: [inner]
    x-corral: {pages: {Hidden: "80"}}
  guest:
    image: IMAGE
    command: httpd -f -p 81 -h /www
    network_mode: service:published
    x-corral: {pages: {Guest: 81}}
networks:
  inner: {internal: true}
"""


OPEN = "import sys, urllib.request as r; print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5).read().decode())"


def opened(lab: Lab, url: str) -> str:
    """What a program of the machine's gets, which sees its files and its network."""
    return machine.run("nsenter", "-t", str(lab.machine.pid), "-n", "-m", sys.executable, "-Ic", OPEN, url)


@pytest.mark.key("services.x-corral", "services.x-corral.pages")
def test_every_page_opens_from_the_machine_where_urls_says_it_is(lab: Lab) -> None:
    lab.up(PAGES)
    rows = [json.loads(line) for line in lab.out("urls", "--format", "json").splitlines()]
    assert sorted((row["Replica"], row["Title"]) for row in rows) == [
        ("guest", "Guest"),
        ("hidden", "Hidden"),
        ("published", "Front"),
        ("web-1", "Status"),
        ("web-1", "Who"),
        ("web-2", "Status"),
        ("web-2", "Who"),
    ]
    for row in rows:
        assert ("hello" in opened(lab, row["URL"])) == (row["Title"] != "Who")
    front = next(row["URL"] for row in rows if row["Replica"] == "published")
    assert front.startswith("http://localhost:49")
    assert front.endswith("/index.html")
    assert lab.ps()["web-2"]["Pages"][0]["URL"] == f"http://{lab.address('web-2')}:80/"


def test_up_and_wait_ends_with_where_they_are(lab: Lab) -> None:
    lab.write(PAGES)
    said = lab.corral("up", "--wait").stderr.splitlines()
    assert said[-1] == "and 2 more: corral urls"
    titles = [line.split("  ")[0] for line in said[-6:-1]]
    assert titles == ["Guest", "Hidden", "Front", "Status", "Who"]
    assert "hello" in opened(lab, said[-6].split()[-1])
