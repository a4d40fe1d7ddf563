"""What `up`, `create` and `scale` say beside the file, from the command line to an engine in memory."""

import json
import threading

import pytest
from fake_lab import TWO, Lab, eventually, rows

from engine.types.infos import ContainerInfo, VolumeInfo

WORKER = "services: {w: {image: 'rootfs:/srv/root', command: work}}"
KEEPS = """
services:
  a:
    image: "rootfs:/srv/root"
    command: [NEW]
    volumes: [/data]
"""


def states(lab: Lab) -> dict[str, str]:
    return {name: row["State"] for name, row in rows(lab).items()}


def ids(lab: Lab) -> dict[str, str]:
    return {name: row["ID"] for name, row in rows(lab).items()}


def made(lab: Lab, slot: str) -> int:
    return lab.engine.done.count((f"container:{slot}", "create"))


def end(lab: Lab, service: str, code: int) -> None:
    for info in list(lab.engine.infos.values()):
        if isinstance(info, ContainerInfo) and info.config.service == service:
            lab.engine.exit(info.uid, code)


def test_create_starts_nothing_and_start_does(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("create")
    assert states(lab) == {"web": "created", "db": "created"}
    assert "container:web" not in lab.corral("plan", code=None)[0].partition("resources")[2]
    lab.corral("start", "db")
    assert states(lab) == {"web": "created", "db": "running"}
    lab.corral("up", "--no-start")
    assert states(lab) == {"web": "created", "db": "running"}, "what runs goes on"
    lab.corral("up", "-d")
    assert states(lab) == {"web": "running", "db": "running"}


def test_scale_is_kept_until_up_and_leaves_the_first_alone(lab: Lab) -> None:
    lab.write(WORKER)
    lab.corral("up", "-d")
    first = ids(lab)
    lab.corral("scale", "w=3")
    assert len(lab.corral("ps", "-q")[0].split()) == 3
    assert first["w"] in lab.corral("ps", "-q")[0]
    out, _ = lab.corral("plan", code=2)
    assert "- container:w-3" in out, "an `up` would say otherwise"
    lab.kill()
    lab.start()
    assert len(lab.corral("ps", "-q")[0].split()) == 3
    lab.corral("scale", "w=0")
    assert lab.corral("ps", "-aq")[0] == ""
    assert "which service?" in lab.corral("scale", code=1)[1]
    assert "cannot use w" in lab.corral("scale", "w", code=1)[1]
    assert "no such service: x" in lab.corral("scale", "x=2", code=1)[1]


def test_scale_of_one_service_leaves_that_of_what_it_needs(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("scale", "db=2")
    lab.corral("scale", "--no-deps", "web=1")
    lab.corral("up", "-d", "web")
    assert {"demo-db-1", "demo-db-2", "demo-web-1"} == {
        json.loads(line)["Name"] for line in lab.corral("ps", "--format", "json")[0].splitlines()
    }


def test_no_recreate_leaves_what_is_there_and_makes_what_is_not(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d", "db")
    before = ids(lab)
    lab.write(TWO.replace("keep", "other"))
    lab.corral("up", "-d", "--no-recreate")
    assert ids(lab)["db"] == before["db"]
    assert states(lab) == {"web": "running", "db": "running"}
    assert made(lab, "db") == 1
    assert "± container:db" in lab.corral("plan", code=2)[0]
    assert "± container:db" not in lab.corral("plan", "--no-recreate")[0]
    lab.corral("scale", "web=1")
    assert made(lab, "db") == 2, "scale is an `up` of the service and of what it needs"


def test_always_recreate_deps_makes_only_what_is_needed_anew(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("up", "-d", "--always-recreate-deps", "web")
    assert (made(lab, "web"), made(lab, "db")) == (1, 2)
    lab.corral("up", "-d", "--always-recreate-deps", "--force-recreate", "web")
    assert (made(lab, "web"), made(lab, "db")) == (2, 3)


def test_renewed_anonymous_volumes_are_new_and_the_old_ones_stay(lab: Lab) -> None:
    lab.write(KEEPS)

    def volumes() -> set[str]:
        return {info.config.name for info in lab.engine.infos.values() if isinstance(info, VolumeInfo)}

    lab.corral("up", "-d")
    before = volumes()
    lab.corral("up", "-d", "--force-recreate")
    assert volumes() == before, "a successor has what its predecessor had"
    lab.corral("up", "-d", "-V")
    assert len(volumes()) == 2
    assert volumes() > before
    assert made(lab, "a") == 3
    lab.corral("down", "-v")
    assert volumes() == set()


@pytest.mark.parametrize(
    ("flags", "ended", "code"),
    [
        (("--abort-on-container-exit",), ("db", 3), 3),
        (("--abort-on-container-exit",), ("db", 0), 0),
        (("--exit-code-from", "web"), ("web", 5), 5),
        (("--exit-code-from", "web"), ("db", 7), 143),
        (("--abort-on-container-failure",), ("web", 4), 4),
    ],
)
def test_the_end_of_one_is_the_end_of_all(
    lab: Lab, flags: tuple[str, ...], ended: tuple[str, int], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_thread(monkeypatch)
    lab.write(TWO)
    found: list[int] = []
    attached = threading.Thread(target=lambda: found.append(lab.code("up", *flags)))
    attached.start()
    eventually(lambda: states(lab) == {"web": "running", "db": "running"})
    end(lab, *ended)
    attached.join(10)
    assert found == [code]
    assert set(states(lab).values()) == {"exited"}


def test_an_end_without_an_error_is_no_failure(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_thread(monkeypatch)
    lab.write(TWO)
    found: list[int] = []
    attached = threading.Thread(target=lambda: found.append(lab.code("up", "--abort-on-container-failure")))
    attached.start()
    eventually(lambda: states(lab) == {"web": "running", "db": "running"})
    end(lab, "db", 0)
    eventually(lambda: states(lab)["db"] == "exited")
    assert states(lab)["web"] == "running"
    end(lab, "web", 4)
    attached.join(10)
    assert found == [4], "of the first that failed"


def test_a_one_off_keeps_nobody_attached(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_thread(monkeypatch)
    lab.write(TWO)
    lab.corral("run", "-d", "--no-deps", "web")
    found: list[int] = []
    attached = threading.Thread(target=lambda: found.append(lab.code("up")))
    attached.start()
    eventually(lambda: len(lab.corral("ps", "-q")[0].split()) == 2)
    for service in ("web", "db"):
        end(lab, service, 0)
    attached.join(10)
    assert found == [0]


def test_one_that_starts_again_has_not_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_thread(monkeypatch)
    lab.write(TWO.replace("command: keep", "command: keep\n    restart: always"))
    found: list[int] = []
    attached = threading.Thread(target=lambda: found.append(lab.code("up", "--abort-on-container-exit")))
    attached.start()
    eventually(lambda: states(lab) == {"web": "running", "db": "running"})
    end(lab, "db", 1)
    eventually(lambda: lab.engine.done.count(("container:db", "start")) == 2)
    assert attached.is_alive()
    end(lab, "web", 2)
    attached.join(10)
    assert found == [2]


def in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the main thread may say what signals do."""
    monkeypatch.setattr("signal.signal", lambda number, handler: None)


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--build", "--no-build"),
        ("up", "--force-recreate", "--no-recreate"),
        ("up", "--always-recreate-deps", "--no-recreate"),
        ("up", "-V", "--no-recreate"),
        ("up", "-d", "--abort-on-container-exit"),
        ("up", "-d", "--attach", "web"),
        ("up", "--wait", "--exit-code-from", "web"),
        ("up", "--attach", "web", "--attach-dependencies"),
        ("up", "--abort-on-container-exit", "--abort-on-container-failure"),
        ("up", "--watch", "--wait"),
        ("up", "--watch", "-d", "--exit-code-from", "web"),
        ("create", "--force-recreate", "--no-recreate"),
        ("plan", "--force-recreate", "--no-recreate"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(lab: Lab, words: tuple[str, ...]) -> None:
    lab.write(TWO)
    assert "are incompatible" in lab.corral(*words, code=1)[1]
    assert rows(lab) == {}


def test_flags_that_mean_nothing_yet_are_taken(lab: Lab) -> None:
    lab.write(TWO)
    words = ("--pull", "never", "--quiet-pull", "--quiet-build", "--no-build", "--menu=false", "-y", "--no-color=true")
    assert "builds no images" not in lab.corral("up", "-d", *words)[1]
    assert "builds no images" in lab.corral("up", "-d", "--build")[1]
    assert "no such service: x" in lab.corral("up", "--exit-code-from", "x", code=1)[1]


def test_what_a_file_set_says_no_longer_goes_and_plan_shows_it_before(lab: Lab) -> None:
    lab.write(TWO)
    lab.write("services: {guest: {image: 'rootfs:/srv/root', command: visit}}", "guest.yaml")
    lab.corral("up", "-d")
    lab.corral("-f", "guest.yaml", "up", "-d")
    lab.write("services: {web: {image: 'rootfs:/srv/root', command: serve}}")
    out, _ = lab.corral("plan", code=2)
    assert "- container:db" in out
    assert "container:guest" not in out
    _, err = lab.corral("up", "-d")
    assert "service guest is declared by other files of this project; --remove-orphans removes it" in err
    assert states(lab) == {"web": "running", "guest": "running"}
    lab.corral("up", "-d", "--remove-orphans")
    assert states(lab) == {"web": "running"}


def test_orphans_of_an_up_of_one_service_stay_unless_told(lab: Lab) -> None:
    lab.write(TWO + "  gone: {image: 'rootfs:/srv/root', command: x}\n")
    lab.corral("up", "-d")
    lab.write(TWO)
    lab.corral("up", "-d", "db")
    assert set(states(lab)) == {"web", "db", "gone"}
    lab.corral("up", "-d", "--remove-orphans", "db")
    assert set(states(lab)) == {"web", "db"}


def test_variables_keep_and_remove_orphans(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write(TWO)
    lab.write("services: {guest: {image: 'rootfs:/srv/root', command: visit}}", "guest.yaml")
    lab.corral("up", "-d")
    lab.corral("-f", "guest.yaml", "up", "-d")
    lab.write("services: {web: {image: 'rootfs:/srv/root', command: serve}}")
    lab.write("COMPOSE_IGNORE_ORPHANS=1", ".env")
    _, err = lab.corral("up", "-d")
    assert "guest" not in err
    assert set(states(lab)) == {"web", "db", "guest"}
    assert "cannot combine" in lab.corral("up", "-d", "--remove-orphans", code=1)[1]
    monkeypatch.setenv("COMPOSE_IGNORE_ORPHANS", "0")
    monkeypatch.setenv("COMPOSE_REMOVE_ORPHANS", "true")
    lab.corral("up", "-d")
    assert set(states(lab)) == {"web"}


def test_what_a_profile_brought_stays_while_the_file_has_it(lab: Lab) -> None:
    with_profile = TWO + "  debug:\n    image: 'rootfs:/srv/root'\n    command: look\n    profiles: [debug]\n"
    lab.write(with_profile)
    lab.corral("--profile", "debug", "up", "-d")
    lab.corral("up", "-d")
    assert set(states(lab)) == {"web", "db", "debug"}, "as docker compose has it: it is no orphan"
    lab.write(TWO)
    lab.corral("up", "-d")
    assert set(states(lab)) == {"web", "db"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("up", "-d"), "~ container:db"),
        (("up",), "~ container:db"),
        (("create",), "~ container:db"),
        (("scale", "db=2"), "+ container:db-2"),
        (("run", "web"), "+ container:web-run-"),
        (("stop", "web"), "container:web"),
        (("down",), "- container:web"),
        (("rm", "-s"), "- container:web"),
        (("pause", "db"), "~ container:db"),
    ],
)
def test_a_dry_run_says_what_would_be_done_and_does_nothing(lab: Lab, words: tuple[str, ...], shown: str) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.write(TWO + "    mem_limit: 64m\n")
    done = list(lab.engine.done)
    assert shown in lab.corral(words[0], "--dry-run", *words[1:])[0]
    assert shown in lab.corral("--dry-run", *words)[0]
    assert lab.engine.done == done
    assert states(lab) == {"web": "running", "db": "running"}


def test_a_dry_run_of_what_cannot_be_foretold_is_refused(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    for words in (("kill",), ("restart", "web"), ("exec", "web", "true")):
        assert "cannot say what would come of it" in lab.corral("--dry-run", *words, code=1)[1]
    assert states(lab) == {"web": "running", "db": "running"}
    assert lab.corral("--dry-run", "ps", "-q")[0] == lab.corral("ps", "-q")[0]
