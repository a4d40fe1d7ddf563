"""A container in `ps`: docker compose's keys and words."""

from dataclasses import replace

import pytest

from engine.types.configs import ContainerConfig, EndpointConfig
from engine.types.infos import ContainerInfo, EndpointInfo, Look, State
from engine.types.parts import BindMount, PortMap, VolumeMount
from orchestrator import phrases
from orchestrator.daemon import listing
from orchestrator.daemon.health import Record

COMPOSE_KEYS = {
    "Command",
    "CreatedAt",
    "ExitCode",
    "Health",
    "ID",
    "Image",
    "Labels",
    "LocalVolumes",
    "Mounts",
    "Name",
    "Names",
} | {
    "Networks",
    "Ports",
    "Project",
    "Publishers",
    "RunningFor",
    "Service",
    "Size",
    "State",
    "Status",
}  # docker compose ps --format json, v2.40
CONFIG = ContainerConfig(
    "demo-web-1",
    "demo",
    "web",
    1,
    "web",
    "web",
    "rootfs:/r",
    entrypoint=("/bin/serve",),
    command=("--root", "/srv/www/html"),
    mounts=(VolumeMount("demo_data", "/data"), BindMount("/home/ann/project/src", "/src")),
    ports=(PortMap("0.0.0.0", 8080, 80), PortMap("127.0.0.1", 5353, 53, "udp")),
    expose=("80", "9000-9001", "99/udp"),
    labels=(("tier", "front"),),
)
RUNNING = ContainerInfo(
    CONFIG, "0123456789abcdef" * 4, "image", State.RUNNING, "box", pid=4711, created_at=1000.0, started_at=1060.0
)
ENDPOINTS = [
    EndpointInfo(
        EndpointConfig("demo", "web", f"demo_{key}", key, address, 24, "10.0.0.1", "web.demo", primary=key == "front"),
        "e",
        "n",
        "s",
    )
    for key, address in (("back", "10.1.0.2"), ("front", "10.0.0.2"))
]
NOW = 1120.0


def test_the_keys_are_those_of_compose_and_pid_and_addresses() -> None:
    row = listing.row_of(RUNNING, ENDPOINTS, now=NOW)
    assert set(row) == COMPOSE_KEYS | {"Pid", "Addresses", "Addresses6", "LastProbe", "Pages", "Full"}
    assert row["Pid"] == 4711
    assert row["Addresses"] == {"back": "10.1.0.2", "front": "10.0.0.2"}
    assert row["Networks"] == "demo_front,demo_back", "the one with the default route first"
    assert row["ID"] == "0123456789ab"
    assert row["Command"] == '"/bin/serve --root /…"'
    assert row["CreatedAt"] == "1970-01-01 00:16:40 +0000 UTC"
    assert row["RunningFor"] == "2 minutes ago"
    assert row["Mounts"] == "demo_data,/home/ann/proj…"
    assert row["LocalVolumes"] == "1"
    assert "com.docker.compose.service=web,tier=front" in row["Labels"]


def test_publishers_are_the_published_ports_and_the_exposed_ones() -> None:
    row = listing.row_of(RUNNING, [], now=NOW)
    assert row["Publishers"] == [
        {"URL": "0.0.0.0", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"},
        {"URL": "127.0.0.1", "TargetPort": 53, "PublishedPort": 5353, "Protocol": "udp"},
        {"URL": "", "TargetPort": 9000, "PublishedPort": 0, "Protocol": "tcp"},
        {"URL": "", "TargetPort": 9001, "PublishedPort": 0, "Protocol": "tcp"},
        {"URL": "", "TargetPort": 99, "PublishedPort": 0, "Protocol": "udp"},
    ]
    assert row["Ports"] == "0.0.0.0:8080->80/tcp, 127.0.0.1:5353->53/udp, 9000/tcp, 9001/tcp, 99/udp"


@pytest.mark.parametrize(
    ("changes", "health", "restarting", "state", "status", "code"),
    [
        ({}, "", False, "running", "Up About a minute", 0),
        ({}, "starting", False, "running", "Up About a minute (health: starting)", 0),
        ({}, "unhealthy", False, "running", "Up About a minute (unhealthy)", 0),
        ({"state": State.EXITED, "code": 3, "ended_at": 1100.0}, "", False, "exited", "Exited (3) 20 seconds ago", 3),
        (
            {"state": State.EXITED, "code": 1, "ended_at": 1119.0},
            "",
            True,
            "restarting",
            "Restarting (1) 1 second ago",
            1,
        ),
        (
            {"state": State.EXITED, "code": 137, "oom": True, "ended_at": 1119.9},
            "",
            False,
            "exited",
            "Exited (137 OOM) Less than a second ago",
            137,
        ),
        (
            {"state": State.EXITED, "code": None, "ended_at": 1100.0},
            "",
            False,
            "exited",
            "Exited (unknown) 20 seconds ago",
            0,
        ),
        ({"state": State.MADE, "ended_at": 1060.0, "code": 0}, "", False, "exited", "Exited (0) About a minute ago", 0),
        ({"state": State.MADE, "started_at": 0.0}, "", False, "created", "Created", 0),
        ({"state": State.MADE, "started_at": 0.0, "error": "no /x"}, "", False, "created", "Created (no /x)", 0),
    ],
)
def test_state_and_status_say_how_it_is(
    changes: dict[str, object], health: str, restarting: bool, state: str, status: str, code: int
) -> None:
    record = Record("demo", 1060.0, health) if health else None  # type: ignore[arg-type]
    row = listing.row_of(replace(RUNNING, **changes), [], record=record, restarting=restarting, now=NOW)  # type: ignore[arg-type]
    assert (row["State"], row["Status"], row["ExitCode"]) == (state, status, code)
    assert row["Pid"] == (4711 if state == "running" else 0)


def test_a_step_of_pre_start_is_listed_until_it_has_succeeded() -> None:
    step = replace(RUNNING, config=replace(CONFIG, number=0, name="demo-web-pre_start-0"))
    done = replace(step, state=State.EXITED, code=0, ended_at=1100.0)

    def names(info: ContainerInfo) -> list[str]:
        return [row["Name"] for row in listing.rows_of(Look(containers=(info,)), "demo", health={}, now=NOW)]

    for info in (step, replace(done, code=4), replace(done, state=State.MADE), replace(done, lost=True, code=None)):
        assert names(info) == ["demo-web-pre_start-0"]
    assert names(done) == []
    assert names(replace(done, config=CONFIG)) == ["demo-web-1"], "a service that has done its work is listed"


def test_the_last_probe_is_told_in_the_words_of_docker_inspect() -> None:
    record = Record("demo", 1060.0, "unhealthy", 4, 1100.5, "no\nway\n", 7)
    row = listing.row_of(RUNNING, [], record=record, now=NOW)
    assert row["LastProbe"] == {
        "End": "1970-01-01T00:18:20.500000Z",
        "ExitCode": 7,
        "FailingStreak": 4,
        "Output": "no\nway\n",
    }
    assert phrases.probe_words(row["LastProbe"]) == "its healthcheck exited 7: no way"
    assert listing.row_of(replace(RUNNING, state=State.EXITED), [], record=record, now=NOW)["LastProbe"] == {}
    assert listing.row_of(RUNNING, [], record=Record("demo", 1060.0), now=NOW)["LastProbe"] == {}


@pytest.mark.parametrize(
    ("code", "output", "words"),
    [(1, "", "its healthcheck exited 1"), (-1, "it took longer than 2 s", "its healthcheck: it took longer than 2 s")],
)
def test_why_a_probe_failed(code: int, output: str, words: str) -> None:
    assert phrases.probe_words({"ExitCode": code, "Output": output}) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (119, "About a minute"),
        (3599, "59 minutes"),
        (5000, "About an hour"),
        (3600 * 47, "47 hours"),
        (86400 * 13, "13 days"),
        (86400 * 59, "8 weeks"),
        (86400 * 700, "23 months"),
        (86400 * 1500, "4 years"),
    ],
)
def test_spans_are_said_as_docker_says_them(seconds: float, words: str) -> None:
    assert listing.span(seconds) == words
