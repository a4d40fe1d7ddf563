"""Commands around a container's start and stop: pre_start, post_start, pre_stop."""

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

SLEEP = "image: IMAGE, init: true, command: sleep 1000"


def kept(lab: Lab) -> str:
    """What the hooks have written into the folder ./kept, which the services have at /kept."""
    path = lab.folder / "kept" / "kept"
    return path.read_text() if path.exists() else ""


def only(said: str, **fields: str) -> str:
    """A file with the service `a` alone."""
    return f"services: {{a: {service(said, **fields)}}}\n"


def service(said: str, **fields: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in fields.items())
    return f"{{{SLEEP}, volumes: ['./kept:/kept'], stop_grace_period: 3s{more}, {said}}}"


def hooks(key: str, *each: str) -> str:
    return f"{key}: [{', '.join(each)}]"


def sh(script: str, more: str = "") -> str:
    """A hook."""
    return f"{{command: [sh, -c, '{script.replace('$', '$$')}']{more}}}"


def log_to(text: str) -> str:
    return sh(f"echo {text} >> /kept/kept")


# --------------------------------------------------------------------------------------------------------- post_start


@pytest.mark.key("services.post_start", "services.post_start.command")
def test_post_start_runs_in_order_after_each_start_and_before_who_depends_on_it(lab: Lab) -> None:
    said = hooks("post_start", sh("sleep 0.3; echo one $(hostname) >> /kept/kept"), log_to("two"))
    lab.up(
        f"""
services:
  a: {service(said)}
  b: {service("depends_on: [a]", entrypoint="[sh, -c, 'echo three >> /kept/kept; sleep 1000']")}
"""
    )
    eventually(lambda: kept(lab) == "one a\ntwo\nthree\n")
    machine.run("kill", "-9", str(lab.pid("a")))
    eventually(lambda: lab.states()["a-1"] == "exited")
    lab.corral("start", "a")
    assert kept(lab) == "one a\ntwo\nthree\none a\ntwo\n"


@pytest.mark.key("services.post_start.user", "services.post_start.working_dir", "services.post_start.environment")
def test_a_hook_runs_as_it_says_and_else_as_its_container(lab: Lab) -> None:
    says = "echo $(id -u) $(pwd) $A $B > /tmp/$(id -u)"  # root may not write to a file of another's there: fs.protected_regular
    lab.up(
        f"""
services:
  a:
    image: IMAGE
    init: true
    command: sleep 1000
    user: app
    working_dir: /var
    environment: {{A: container, B: too}}
    post_start:
      - {sh(says)}
      - {sh(says, ", user: root, working_dir: /www, environment: {A: hook}")}
"""
    )
    assert lab.exec("a", "cat", "/tmp/1000", "/tmp/0") == "1000 /var container too\n0 /www hook too\n"


@pytest.mark.key("services.post_start.privileged")
def test_a_privileged_hook_has_every_capability_and_its_container_has_not(lab: Lab) -> None:
    caps = "grep CapEff /proc/self/status >> /tmp/caps"
    lab.up(only(hooks("post_start", sh(caps), sh(caps, ", privileged: true"))))
    plain, privileged = (line.split()[1] for line in lab.exec("a", "cat", "/tmp/caps").splitlines())
    assert plain == machine.status(lab.pid("a"))["CapEff"]
    assert privileged == machine.status(lab.process("corral daemon"))["CapBnd"]
    assert privileged != plain


def test_a_post_start_that_fails_stops_its_container_and_up_fails_with_what_it_said(lab: Lab) -> None:
    lab.write(
        f"""
services:
  a: {service(hooks("post_start", sh("echo no such luck >&2; exit 3"), log_to("not me")))}
  b: {service("depends_on: [a]")}
"""
    )
    said = lab.refusal("up", "-d")
    assert "post_start[0]" in said
    assert "exited 3: no such luck" in said
    assert lab.states() == {"a-1": "exited", "b-1": "created"}
    assert kept(lab) == ""


def test_a_post_start_that_fails_is_an_exit_for_the_restart_policy(lab: Lab) -> None:
    """And the container is told to end as by a stop, whatever it makes of that."""
    main = "[sh, -c, 'trap \"echo bye >> /kept/kept; exit 0\" TERM; echo ready >> /kept/kept; sleep 1000 & wait']"
    its_own = "[ $(grep -c ready /kept/kept) -gt $(grep -c bye /kept/kept) ]"
    lab.write(
        only(
            hooks("post_start", sh(f"echo try >> /kept/kept; until {its_own}; do sleep 0.02; done; exit 1")),
            entrypoint=main,
            restart='"on-failure:2"',
        ).replace("init: true, ", "")
    )
    lab.corral("up", "-d", code=1)
    eventually(lambda: kept(lab).count("bye") == 3)
    assert kept(lab).count("try") == 3
    eventually(lambda: lab.states() == {"a-1": "exited"})
    assert lab.ps()["a-1"]["ExitCode"] != 0


def test_a_container_that_ends_during_its_post_start_is_not_said_to_have_failed_by_it(lab: Lab) -> None:
    lab.write(only(hooks("post_start", sh("sleep 1000")), entrypoint="[sh, -c, 'sleep 0.3; exit 7']"))
    said = lab.refusal("up", "-d")
    assert "exited 7" in said
    assert "post_start" not in said


def test_a_daemon_killed_during_a_post_start_begins_them_anew(lab: Lab) -> None:
    first = sh("echo first >> /kept/kept; [ -e /kept/go ] || sleep 1000")
    lab.write(only(hooks("post_start", first, log_to("second"))))
    with lab.popen("up", "-d") as up:
        eventually(lambda: kept(lab) == "first\n")
        pid = lab.pid("a")
        lab.kill("corral daemon")
        up.wait(20)
    (lab.folder / "kept/go").touch()
    assert lab.pid("a") == pid, "the container lives on"
    eventually(lambda: kept(lab) == "first\nfirst\nsecond\n")


def test_a_stop_does_not_wait_for_a_post_start_that_never_ends(lab: Lab) -> None:
    lab.write(only(hooks("post_start", sh("echo begun >> /kept/kept; sleep 1000"))))
    with lab.popen("up", "-d") as up:
        eventually(lambda: kept(lab) == "begun\n")
        assert up.poll() is None, "up waits for it"
        lab.corral("down", "-t", "1", timeout=15)
        up.wait(10)
    assert lab.ps() == {}


# ----------------------------------------------------------------------------------------------------------- pre_stop


@pytest.mark.key(
    "services.pre_stop",
    "services.pre_stop.command",
    "services.pre_stop.user",
    "services.pre_stop.working_dir",
    "services.pre_stop.environment",
    "services.pre_stop.privileged",
)
def test_pre_stop_runs_before_a_planned_stop_and_not_otherwise(lab: Lab) -> None:
    main = "[sh, -c, 'trap \"echo signal >> /kept/kept; exit 0\" TERM; echo ready; sleep 1000 & wait']"
    as_said = ", user: app, working_dir: /kept, environment: {A: b}, privileged: true"
    third = sh("echo $(id -u) $(pwd) $A $(grep CapBnd /proc/self/status) >> /kept/kept", as_said)
    (lab.folder / "kept").mkdir()
    (lab.folder / "kept/kept").touch()
    (lab.folder / "kept/kept").chmod(0o666)
    lab.up(only(hooks("pre_stop", log_to("one"), third), entrypoint=main))
    eventually(lambda: "ready" in lab.out("logs"))
    lab.corral("stop")
    lines = kept(lab).splitlines()
    assert (lines[0], lines[2]) == ("one", "signal")
    assert lines[1].startswith("1000 /kept b CapBnd:")
    assert lines[1].split()[-1] == machine.status(lab.process("corral daemon"))["CapBnd"]
    lab.corral("start")
    lab.corral("kill")
    eventually(lambda: lab.states() == {"a-1": "exited"})
    assert kept(lab).count("one") == 1, "a kill is no stop"


def test_a_pre_stop_that_fails_keeps_its_container_running(lab: Lab) -> None:
    """As docker compose: whoever wants to stop it is told, and may have it stopped without."""
    ready = sh("echo asked >> /kept/kept; [ -e /kept/ready ] || { echo still busy; exit 5; }")
    text = only(hooks("pre_stop", ready, log_to("second")))
    lab.up(text)
    pid = lab.pid("a")
    for words in (("stop",), ("restart",), ("down",), ("up", "-d")):
        lab.write(text if words[0] != "up" else text.replace("3s", "3s, environment: {A: edited}"))
        said = lab.refusal(*words)
        assert "container:a: cannot stop: " in said, words
        assert "exited 5: still busy (`-t 0` leaves it out, and so does kill)" in said
        assert lab.pid("a") == pid
    assert kept(lab) == "asked\n" * 4, "once a command"
    lab.up(text)
    assert lab.pid("a") == pid
    (lab.folder / "kept/ready").touch()
    lab.corral("stop")
    assert kept(lab) == "asked\n" * 5 + "second\n"
    assert lab.states() == {"a-1": "exited"}


@pytest.mark.parametrize("words", [("stop", "-t", "0"), ("kill",), ("down", "-t", "0")])
def test_who_does_not_care_for_a_failing_pre_stop(lab: Lab, words: tuple[str, ...]) -> None:
    lab.up(only(hooks("pre_stop", "{command: [/no/such/program]}")))
    assert "/no/such/program" in lab.refusal("stop")
    lab.corral(*words)
    eventually(lambda: lab.states() in ({}, {"a-1": "exited"}))


def test_a_pre_stop_that_ends_its_container_has_not_failed(lab: Lab) -> None:
    lab.up(only(hooks("pre_stop", sh("kill -9 -1; sleep 1000"))))
    lab.corral("stop")
    assert lab.states() == {"a-1": "exited"}


def test_a_post_start_that_a_stop_has_cut_short_goes_on_where_that_did_not_come_to_pass(lab: Lab) -> None:
    slow = sh("echo begun >> /kept/kept; until [ -e /kept/go ]; do sleep 0.05; done; echo done >> /kept/kept")
    lab.write(only(f"{hooks('post_start', slow)}, {hooks('pre_stop', sh('exit 1'))}"))
    with lab.popen("up", "-d") as up:
        eventually(lambda: kept(lab) == "begun\n")
        lab.refusal("stop")
        up.terminate()
    (lab.folder / "kept/go").touch()
    eventually(lambda: kept(lab).endswith("done\n"))


def test_pre_stop_has_the_grace_and_no_more(lab: Lab) -> None:
    lab.up(only(hooks("pre_stop", sh("sleep 1000"), log_to("late"))))
    lab.corral("down", "-t", "1", timeout=15)
    assert kept(lab) == ""
    assert lab.ps() == {}


def test_pre_stop_may_change_while_it_runs(lab: Lab) -> None:
    lab.up(only(hooks("pre_stop", log_to("old"))))
    pid = lab.pid("a")
    lab.up(only(hooks("pre_stop", log_to("new"))))
    assert lab.pid("a") == pid
    lab.corral("stop")
    assert kept(lab) == "new\n"


# ---------------------------------------------------------------------------------------------------------- pre_start


@pytest.mark.key("services.pre_start", "services.pre_start.command", "services.pre_start.image")
def test_pre_start_comes_once_before_the_first_start_of_a_definition(lab: Lab) -> None:
    steps = hooks("pre_start", sh("echo one >> /kept/kept", ", image: IMAGE"), log_to("two"))
    main = "[sh, -c, 'echo main >> /kept/kept; sleep 1000']"
    lab.up(only(steps, entrypoint=main))
    eventually(lambda: kept(lab) == "one\ntwo\nmain\n")
    assert lab.states() == {"a-1": "running"}, "a step that is done is not listed"
    assert "exited" not in lab.out("ls", "-a")
    (lab.folder / "one").touch()
    lab.corral("cp", "one", "a:/tmp/")
    lab.corral("restart", "-t", "0")
    eventually(lambda: kept(lab) == "one\ntwo\nmain\nmain\n")
    machine.run("kill", "-9", str(lab.pid("a")))
    eventually(lambda: lab.states()["a-1"] == "exited")
    lab.up("", "-t", "0")
    eventually(lambda: kept(lab) == "one\ntwo\nmain\nmain\nmain\n")  # not at restarts
    lab.up(only(steps, entrypoint=main, hostname="other", labels="{l: x}"))
    assert kept(lab).count("one") == 1, "nor after an edit that makes nothing anew"
    lab.up(only(steps, entrypoint=main, environment="{A: b}"), "-t", "0")
    anew = "one\ntwo\nmain\nmain\nmain\none\ntwo\nmain\n"
    eventually(lambda: kept(lab) == anew)


def test_a_pre_start_that_fails_keeps_its_service_from_starting(lab: Lab) -> None:
    text = only(hooks("pre_start", sh("exit $CODE")), environment="{CODE: 4}")
    lab.write(text)
    said = lab.refusal("up", "-d")
    assert "container:a/pre_start-0" in said
    assert "exited 4" in said
    assert lab.states() == {"a-1": "created", "a-pre_start-0": "exited"}, "one that failed is there to be looked at"
    assert lab.ps()["a-pre_start-0"]["ExitCode"] == 4
    lab.corral("cp", "compose.yaml", "a:/tmp/")
    lab.up(text.replace("CODE: 4", "CODE: 0"))
    assert lab.states() == {"a-1": "running"}


def test_up_shows_the_last_lines_of_a_step_that_fails(lab: Lab) -> None:
    script = 'i=0; while [ $((i+=1)) -le 30 ]; do echo line $i; done; echo "the disk\tis on fire" >&2; exit 3'
    text = only(hooks("pre_start", sh("echo well; exit 0"), sh(script.replace("'", "''"))))
    lab.write(text)
    for words in (("up", "-d"), ("up", "-d", "--wait"), ("up",)):
        lines = lab.refusal(*words).splitlines()
        at = lines.index("container:a/pre_start-1: cannot start: exited 3, restart: no")
        shown = [f"    line {number}" for number in range(12, 31)]
        assert lines[at + 1 : at + 21] == [*shown, "    the disk        is on fire"], words
        assert "line 11" not in "\n".join(lines), "the last ones only, and of this run"
        assert "well" not in "\n".join(lines)
    lab.write(text.replace("exit 3", "exit 0"))
    assert "line" not in lab.corral("up", "-d").stderr


@pytest.mark.key("services.pre_start.per_replica")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_step_is_for_all_replicas_or_for_each(lab: Lab, is_first: bool) -> None:
    steps = [sh("echo each >> /kept/kept", ", per_replica: true"), log_to("all")]
    text = only(hooks("pre_start", *(steps if is_first else steps[::-1])), scale="N")
    lab.up(text.replace("scale: N", "scale: 2"))
    assert sorted(kept(lab).splitlines()) == ["all", "each", "each"]
    pids = {name: lab.pid(name) for name in ("a-1", "a-2")}
    lab.up(text.replace("scale: N", "scale: 3"))
    assert kept(lab).splitlines().count("each") == 3
    assert kept(lab).splitlines().count("all") == 1
    assert {name: lab.pids()[name] for name in pids} == pids


@pytest.mark.key(
    "services.pre_start.user",
    "services.pre_start.privileged",
    "services.pre_start.working_dir",
    "services.pre_start.environment",
)
def test_a_step_is_as_its_service_but_for_what_it_says(lab: Lab) -> None:
    says = "echo $(id -u) $(pwd) $A $(hostname) $(grep CapEff /proc/self/status) >> /kept/kept"
    (lab.folder / "kept").mkdir()
    (lab.folder / "kept").chmod(0o777)
    said = ", user: root, working_dir: /www, environment: {A: step}, privileged: true"
    steps = hooks("pre_start", sh(says), sh(says, said))
    lab.up(only(steps, user="app", working_dir="/var", environment="{A: mine}"))
    first, second = kept(lab).splitlines()
    assert first.startswith("1000 /var mine a CapEff: 0000000000000000")
    assert second.startswith("0 /www step a CapEff:")
    assert second.split()[-1] == machine.status(lab.process("corral daemon"))["CapBnd"]


def test_a_step_goes_on_while_the_daemon_is_dead(lab: Lab) -> None:
    lab.write(only(hooks("pre_start", sh("echo begun >> /kept/kept; until [ -e /kept/go ]; do sleep 0.05; done"))))
    with lab.popen("up", "-d") as up:
        eventually(lambda: kept(lab) == "begun\n")
        lab.kill("corral daemon")
        up.wait(20)
    (lab.folder / "kept/go").touch()
    lab.corral("ps")
    eventually(lambda: lab.states()["a-1"] == "running")
    assert kept(lab) == "begun\n"


def test_no_step_runs_beside_what_it_comes_before(lab: Lab) -> None:
    """A definition that has only now got one."""
    main = "[sh, -c, 'trap \"sleep 0.5; echo ended >> /kept/kept; exit 0\" TERM; echo ready; while :; do sleep 0.05; done']"
    lab.up(only("tty: false", entrypoint=main))
    eventually(lambda: "ready" in lab.out("logs"))
    lab.up(only(hooks("pre_start", log_to("step")), entrypoint=main))
    assert kept(lab) == "ended\nstep\n"


def test_plan_shows_the_steps_and_what_a_hook_costs(lab: Lab) -> None:
    lab.write(only(hooks("pre_start", log_to("x"))))
    assert "container:a/pre_start-0" in lab.corral("plan", code=2).stdout
    lab.up()
    lab.write(only(f"{hooks('pre_start', log_to('x'))}, {hooks('post_start', log_to('y'))}"))
    said = lab.corral("plan", code=2).stdout
    assert "post_start +sh -c echo y" in said
