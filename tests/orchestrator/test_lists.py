"""What lists show and of whom: ps, ls, images, volumes, logs, and the templates of --format."""

import json

import pytest
from fake_lab import TWO, Lab, eventually

from engine.types.infos import ContainerInfo
from orchestrator import errors, protocol
from orchestrator.command_line import following, templates

MOUNTING = TWO + "    volumes: [data:/data]\nvolumes: {data: {}, other: {}}\n"


@pytest.fixture
def up(lab: Lab) -> Lab:
    lab.write(MOUNTING)
    lab.corral("up", "-d")
    return lab


def names(lab: Lab, *words: str) -> list[str]:
    return lab.corral("ps", "--format", "{{.Name}}", *words)[0].split()


def test_ps_chooses_by_state(up: Lab) -> None:
    up.corral("stop", "db")
    assert names(up) == ["demo-web-1"]
    assert names(up, "--status", "exited") == names(up, "--filter", "status=exited") == ["demo-db-1"]
    assert names(up, "--status", "exited", "--status", "running") == names(up, "-a")
    assert names(up, "--status", "dead") == []
    assert "cannot filter by 'name=x'" in up.corral("ps", "--filter", "name=x", code=1)[1]
    assert "cannot filter by 'status'" in up.corral("ps", "--filter", "status", code=1)[1]


def test_ps_refuses_a_service_that_the_files_do_not_know(up: Lab) -> None:
    assert "no such service: nope" in up.corral("ps", "nope", code=1)[1]
    up.corral("rm", "-sf", "db")
    assert names(up, "db") == []


def test_ps_of_orphans_and_without(up: Lab) -> None:
    up.write("services: {guest: {image: 'rootfs:/srv/root', command: visit}}", "guest.yaml")
    up.corral("-f", "guest.yaml", "up", "-d")
    assert len(names(up)) == 3
    assert names(up, "--no-orphans") == names(up, "--orphans=false") == ["demo-db-1", "demo-web-1"]
    assert len(names(up, "--orphans=true")) == 3


def test_ps_has_a_column_of_pages_where_there_are_some(lab: Lab) -> None:
    """docker compose's table is left as it is where nobody has any."""
    lab.write(TWO)
    lab.corral("up", "-d")
    assert "PAGES" not in lab.corral("ps")[0]
    lab.write(TWO + "    x-corral: {pages: {Front: 80, Status: 80/status}}\n")
    lab.corral("up", "-d")
    head, *lines = lab.corral("ps")[0].splitlines()
    assert head.split()[-2:] == ["PORTS", "PAGES"]
    shown = {line.split()[0]: line[head.index("PAGES") :].split() for line in lines}
    assert shown == {"demo-db-1": lab.corral("urls", "-q")[0].split(), "demo-web-1": []}
    assert len(shown["demo-db-1"]) == 2
    assert "PAGES" not in lab.corral("ps", "web")[0], "of these nobody has one"
    rows = map(json.loads, lab.corral("ps", "--format", "json", "db")[0].splitlines())
    assert [page["Title"] for row in rows for page in row["Pages"]] == ["Front", "Status"], "for programs as it was"


def test_ps_shortens_unless_told(up: Lab) -> None:
    up.write(TWO.replace("keep", "[keep, everything, for, a, very, long, time]"))
    up.corral("up", "-d")
    (info,) = [i for i in up.engine.infos.values() if isinstance(i, ContainerInfo) and i.config.service == "db"]
    short, full = (
        up.corral("ps", "--format", "{{.ID}} {{.Command}}", *flags, "db")[0] for flags in ((), ("--no-trunc",))
    )
    assert full == f'{info.uid} "keep everything for a very long time"\n'
    assert short == f'{info.uid[:12]} "keep everything for…"\n'
    assert up.corral("ps", "-q", "db")[0].strip() == info.uid
    assert "Full" not in json.loads(up.corral("ps", "--format", "json", "db")[0])


def test_ls_is_a_json_array_and_filters_by_name(up: Lab) -> None:
    assert json.loads(up.corral("ls", "--format", "json")[0])[0]["Name"] == "demo"
    assert up.corral("ls", "-q", "--filter", "name=^de")[0] == "demo\n"
    assert up.corral("ls", "-q", "--filter", "name=^mo")[0] == ""
    assert up.corral("ls", "--format", "json", "--filter", "name=^mo")[0] == "[]\n"
    assert "cannot filter by 'x=y'" in up.corral("ls", "--filter", "x=y", code=1)[1]
    assert "cannot use --filter" in up.corral("ls", "--filter", "name=(", code=1)[1]


def test_images_and_volumes(up: Lab) -> None:
    found = json.loads(up.corral("images", "--format", "json")[0])
    assert [(each["ContainerName"], each["Repository"]) for each in found] == [
        ("demo-db-1", "rootfs:/srv/root"),
        ("demo-web-1", "rootfs:/srv/root"),
    ]
    assert up.corral("images", "-q", "web")[0].split() == [found[0]["ID"]]
    assert up.corral("images")[0].split()[:3] == ["CONTAINER", "REPOSITORY", "TAG"]
    assert up.corral("volumes", "-q")[0] == up.corral("volumes", "-q", "db")[0] == "demo_data\n"
    assert up.corral("volumes", "-q", "web")[0] == ""
    assert json.loads(up.corral("volumes", "--format", "json")[0])["Labels"].startswith(
        "com.docker.compose.project=demo"
    )
    assert up.corral("volumes")[0].splitlines()[0].split() == ["DRIVER", "VOLUME", "NAME"]


ROWS = [{"Name": "a", "Service": "x"}, {"Name": "b\x1b", "Service": "yy"}]
COLUMNS = {"NAME": "Name"}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("table", "NAME\na\nb\\x1b\n"),
        ("{{.Name}}={{ .Service }}", "a=x\nb\\x1b=yy\n"),
        ("{{upper .Name}}\\t{{json .Service}}", 'A\t"x"\nB\\X1B\t"yy"\n'),
        ("table {{.Name}}\\t{{.Service}}", "NAME    SERVICE\na       x\nb\\x1b   yy\n"),
        ("{{json .}}", '{"Name":"a","Service":"x"}\n{"Name":"b\\u001b","Service":"yy"}\n'),
    ],
)
def test_a_template_is_filled_in(form: str, text: str) -> None:
    assert templates.shown(form, ROWS, COLUMNS) == text


def test_values_are_printed_as_go_prints_them() -> None:
    row = {"A": {"b": {"c": 1}, "a": None}, "T": True, "L": ["x", False], "E": {}}
    form = "{{.A.b.c}} {{.A}} {{.T}} {{.L}} {{.E}} {{.A.x}} {{.T.x}} {{json .A.b}} {{upper .T}}"
    text = '1 map[a:<no value> b:map[c:1]] true [x false] map[] <no value> <no value> {"c":1} TRUE\n'
    assert templates.lines(form, [row]) == text


@pytest.mark.parametrize(
    "form", ["nothing", "{{.Nope}}", "{{range .}}", "{{.Name}", "{{.Name}} {{if}}", "{{.Name.}}", "{{..Name}}"]
)
def test_what_is_no_template_is_refused(form: str) -> None:
    with pytest.raises(errors.UsageError):
        templates.shown(form, ROWS, COLUMNS)


def test_logs_are_those_of_one_replica_and_never_of_a_one_off() -> None:
    def container(uid: str, number: int, run_of: str = "") -> protocol.Container:
        name = f"web-run-{uid}" if run_of else "web"
        return protocol.Container(
            uid, uid, name, uid, "running", "", None, f"/nowhere/{uid}", run_of=run_of, number=number
        )

    there = (container("one", 1), container("two", 2), container("three", 1, "web"))

    def known(**options: object) -> set[str]:
        import io

        follower = following.Follower(io.StringIO(), following.Options(**options), "p", colour=False)  # type: ignore[arg-type]
        follower.know(there)
        follower.close()
        return set(follower._sources)

    assert known() == {"one", "two"}
    assert known(number=2) == {"two"}
    assert known(services=("web",)) == {"one", "two"}
    assert known(services=("web-run-three",)) == {"three"}


def test_restart_without_what_depends_on_it(lab: Lab) -> None:
    lab.write(TWO.replace("depends_on: [db]", "depends_on: {db: {condition: service_started, restart: true}}"))
    lab.corral("up", "-d")
    lab.corral("restart", "db")
    stops = lab.engine.done.count(("container:web", "stop"))
    assert stops == 1
    lab.corral("restart", "--no-deps", "db")
    assert lab.engine.done.count(("container:web", "stop")) == 1
    assert lab.engine.done.count(("container:db", "stop")) == 2
    lab.corral("restart", "db")
    assert lab.engine.done.count(("container:web", "stop")) == 2, "it was said once"


def test_kill_with_orphans_and_down_of_one_service(up: Lab) -> None:
    up.write("services: {guest: {image: 'rootfs:/srv/root', command: visit}}", "guest.yaml")
    up.corral("-f", "guest.yaml", "up", "-d")
    up.corral("kill", "-s", "HUP", "--remove-orphans")
    assert names(up, "-a") == ["demo-db-1", "demo-web-1"]
    up.corral("down", "--rmi", "local", "web")
    assert names(up, "-a") == ["demo-db-1"]
    up.corral("down", "-v", "--rmi", "all", "--remove-orphans", "-t", "1")
    eventually(lambda: "no projects" in up.corral("daemon", "status")[0])


@pytest.mark.parametrize(
    ("variables", "words", "shown"),
    [
        ({"COMPOSE_PROGRESS": "quiet"}, (), ""),
        ({"COMPOSE_PROGRESS": "quiet"}, ("--progress", "plain"), "container:db"),
        ({"COMPOSE_ANSI": "always"}, (), "container:db"),
    ],
)
def test_variables_say_what_flags_leave_open(
    lab: Lab, variables: dict[str, str], words: tuple[str, ...], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    lab.write(TWO)
    out, err = lab.corral(*words, "up", "-d")
    assert shown in err if shown else not err
    assert not out
    monkeypatch.setenv("COMPOSE_STATUS_STDOUT", "1")
    out, err = lab.corral(*words, "stop")
    assert shown in out if shown else not out
    assert not err


def test_a_variable_with_a_word_that_nobody_knows_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write(TWO)
    monkeypatch.setenv("COMPOSE_ANSI", "sometimes")
    assert "COMPOSE_ANSI=sometimes is none of auto, always, never" in lab.corral("ps", code=1)[1]
    monkeypatch.delenv("COMPOSE_ANSI")
    assert "names keep" not in lab.corral("--parallel", "3", "ps")[1]
    assert "PROJECT-SERVICE-N" in lab.corral("--compatibility", "ps")[1]
