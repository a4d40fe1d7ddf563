"""Root in a user namespace, given every capability and every system call, and what it tries against the machine and others."""

import ctypes
import json
import os
import pathlib
import stat
import subprocess
import sys

import pytest

from tests.e2e import machine
from tests.e2e.attacks import inside
from tests.e2e.lab import Lab

ALL = """
services:
  bad:
    image: host
    userns_mode: auto
    cap_add: [ALL]
    security_opt: [seccomp=unconfined, systempaths=unconfined]
    command: sleep 1000
    init: true
    volumes: [data:/data, ./kept:/kept:ro, ./given:/given]
  other: {image: IMAGE, userns_mode: auto, command: sleep 1000, init: true}
volumes: {data: }
"""


@pytest.fixture
def bad(lab: Lab) -> Lab:
    for name in ("kept", "given"):
        (lab.folder / name).mkdir()
        (lab.folder / name / "roots").write_text("machine\n")
        (lab.folder / name / "roots").chmod(0o644)
    lab.up(ALL)
    return lab


def first_id(pid: int) -> int:
    return int(machine.read(f"/proc/{pid}/uid_map").split()[1])


def settings() -> dict[str, str]:
    paths = [
        pathlib.Path("/proc/sys/kernel") / name for name in ("core_pattern", "modprobe", "hostname", "panic", "pid_max")
    ]
    paths += [
        *pathlib.Path("/sys/fs/cgroup").glob("*/release_agent"),
        pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled"),
    ]
    return {str(path): machine.read(str(path)) for path in paths if path.exists()}


MOUNTS = """
mkdir -p /m /p /s /lower /upper /work /merged; echo '#!/bin/sh' > /lower/suid; chmod 4755 /lower/suid
for kind in proc sysfs tmpfs cgroup2 devpts mqueue; do mount -t $kind x /m && { echo "mounted $kind"; umount /m; }; done
mount -t overlay -o lowerdir=/lower,upperdir=/upper,workdir=/work,userxattr x /merged
mount -t proc x /p; mount -t sysfs x /s
places=$(cut -d' ' -f5 /proc/self/mountinfo)
for place in $places; do mount -o remount,bind,rw $place; mount -o remount,rw $place; done
try() {
  for top in "$@"; do
    for file in $top/sys/kernel/core_pattern $top/sys/kernel/modprobe $top/sys/kernel/panic $top/sysrq-trigger \
        $top/kernel/mm/transparent_hugepage/enabled $(find $top -maxdepth 4 -name release_agent); do
      test -e $file && echo '|/tmp/owned' > $file && echo "wrote $file"; done; done
}
try /proc /sys /p /s
for place in $places; do umount $place; done
try /proc /sys /p /s
for device in /dev/mem /dev/kmsg /dev/vda /dev/sda /dev/loop0 /dev/kvm; do
  test -e $device && head -c 1 $device > /dev/null && echo "read $device"; done
mknod /m/mem c 1 1 && echo made a node; mknod /data/mem c 1 1 && echo made a node
date -s 2000-01-01 > /dev/null && test "$(date +%Y)" = 2000 && echo set the time
true
"""


def test_every_capability_inside_changes_nothing_outside(bad: Lab) -> None:
    """New mounts show what is its own; what is shown of the machine stays as it was given."""
    before = settings()
    text = bad.exec("bad", "sh", "-c", f"exec 2>/dev/null; {MOUNTS}")
    assert {line.split()[0] for line in text.splitlines()} <= {"mounted"}, text
    assert "mounted proc" in text
    assert settings() == before


WRITE = """
mkdir -p /k; mount --bind /kept /k; mount -o remount,bind,rw /kept; mount -o remount,bind,rw /k; mount -o remount,rw /k
python3 -I - <<'EOF'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
tree = libc.syscall(428, -100, b"/kept", 1)
clear = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
print("tree", tree >= 0, "cleared", libc.syscall(442, tree, b"", 0x1000, clear, 32) == 0)
EOF
unshare -m sh -c 'mount -o remount,bind,rw /kept; echo x > /kept/roots && echo wrote in a namespace of its own'
unshare -Ur -m sh -c 'mount -o remount,bind,rw /kept; echo x > /kept/roots && echo wrote in another user namespace'
for place in /kept /k; do echo x > $place/roots && echo "wrote $place"; chmod 666 $place/roots && echo "changed $place"; done
true
"""


def test_what_it_may_read_of_the_machines_it_cannot_write(bad: Lab) -> None:
    """The kernel locks the way in which a read-only bind was handed in: no remount, no copy and no namespace opens it."""
    text = bad.exec("bad", "sh", "-c", f"exec 2>/dev/null; {WRITE}")
    assert text == "tree True cleared False\n"
    kept = bad.folder / "kept/roots"
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == ("machine\n", 0o644)


def test_outside_it_is_nobody_and_has_nothing_of_ours_or_others(bad: Lab) -> None:
    """CVE-2021-21284: whoever gets out is a user without anything, also in our own folders."""
    firsts = {name: first_id(bad.pid(name)) for name in ("bad", "other")}
    assert abs(firsts["bad"] - firsts["other"]) >= 65536
    script = f"""
import os
os.setgroups([]); os.setresgid({firsts["bad"]}, {firsts["bad"]}, {firsts["bad"]}); os.setresuid(*3 * [{firsts["bad"]}])
for top in ({str(bad.owner.root)!r}, {str(bad.owner.run_folder)!r}):
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            if name != "corral.sock" and (os.access(path, os.R_OK | os.W_OK) or os.access(path, os.X_OK)):
                print(path)
try:
    os.kill({bad.pid("other")}, 0)
    print("may signal the other")
except PermissionError:
    pass
"""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_a_set_uid_program_it_leaves_in_a_volume_is_reached_by_nobody(bad: Lab) -> None:
    """On the disk it is root's: what keeps it from users of the machine is that they cannot enter our folders."""
    bad.exec("bad", "sh", "-c", "cp /bin/sh /data/sh; chmod 4755 /data/sh")
    found = next(bad.owner.root.rglob("_data/sh"))
    assert (found.stat().st_uid, found.stat().st_mode & 0o4000) == (0, 0o4000)
    script = f"import os; os.setresuid(1000, 1000, 1000); os.stat({str(found)!r})"
    assert "Permission" in subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True).stderr
    assert first_id(bad.pid("bad")) not in {found.stat().st_uid, found.stat().st_gid}


WATCH = """
libc = ctypes.CDLL(None, use_errno=True)
import resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
made = 0
while libc.inotify_init() >= 0:
    made += 1
print("made", made, flush=True)
time.sleep(1000)
"""


def inotify_instances() -> int:
    """How many root of the machine can make now."""
    libc, made = ctypes.CDLL(None), []
    while len(made) < 100 and (descriptor := libc.inotify_init()) >= 0:
        made.append(descriptor)
    for descriptor in made:
        os.close(descriptor)
    return len(made)


def test_what_the_kernel_counts_of_each_user_it_takes_from_nobody(bad: Lab) -> None:
    """Inotify instances, of which each user of the machine has 128: with all of its own it leaves everybody's to them."""
    before = inotify_instances()
    assert before > 20
    with bad.popen(
        "exec", "-T", "bad", "python3", "-I", "-c", inside.HEAD + WATCH, "0", stdout=subprocess.PIPE
    ) as eater:
        try:
            assert eater.stdout is not None
            assert eater.stdout.readline().startswith("made ")
            assert inotify_instances() >= before - 5
            assert bad.exec("other", "true") == ""
        finally:
            eater.kill()


def test_it_enters_no_other_container_and_sees_none(bad: Lab) -> None:
    script = """
import glob
libc = ctypes.CDLL(None, use_errno=True)
print(sorted(glob.glob("/proc/[0-9]*/ns/user")) != [])
mine = os.readlink("/proc/self/ns/user")
others = [path for path in glob.glob("/proc/[0-9]*/ns/user") if os.readlink(path) != mine]
print(others, libc.kill(ARGUMENTS, 0))
"""
    other = bad.pid("other")
    assert inside.python(bad, "bad", script, other).splitlines() == ["True", "[] -1"]


def test_who_enters_by_exec_shows_nothing_of_the_machine(bad: Lab) -> None:
    """While a command is set up in its pid namespace, its root, who may trace everybody there, cannot open what it comes from."""
    script = """
import select
found, came = set(), set()
print("watching", flush=True)
while not select.select([0], [], [], 0)[0]:
    for pid in os.listdir("/proc"):
        if pid.isdecimal() and pid not in ("1", str(os.getpid())):
            came.add(pid)
            for name in ("exe", "root", "cwd", "fd", "mem", "environ"):
                try:
                    path = f"/proc/{pid}/{name}"
                    if name in ("exe", "root", "cwd"):
                        what = os.readlink(path)
                        if "memfd" in what or "python" in what or "deleted" in what:
                            found.add(what)
                    elif name == "fd":
                        found |= {os.readlink(f"{path}/{fd}") for fd in os.listdir(path) if "cgroup" in os.readlink(f"{path}/{fd}")}
                    else:
                        with open(path, "rb") as file:
                            what = file.read(64)
                            if b"corral" in what:
                                found.add(name)
                except OSError:
                    pass
print(json.dumps([sorted(found), len(came)]))
"""
    words = ("exec", "-T", "bad", "python3", "-I", "-c", inside.HEAD + script, "0")
    with bad.popen(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as watcher:
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "watching\n"
        for _ in range(8):
            bad.exec("bad", "/bin/true")
        bad.exec("bad", "/bin/sleep", "0.3")
        watcher.stdin.close()
        found, came = json.loads(watcher.stdout.read())
    assert found == []
    assert came >= 4, "they were seen to come: the last for sure, and of those that were gone at once at least some"
