"""The list of operations that makes a container's file system, as text; and messages between the processes."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.process import capabilities, frames, rootfs, wire

SPEC = wire.StartSpec(
    container="c",
    run="1",
    run_directory="/c/run",
    root_path="/c/root",
    log_path="/c/log",
    argv=("true",),
    overlays=(wire.Overlay("/", ("/image/2", "/image/1"), "/c/upper", "/c/work"), wire.Overlay("/usr", ("/usr",))),
    working_dir="/srv",
    mounts=(
        wire.Tmpfs("/cache/hot/", mode=0o700),
        wire.Volume("/volumes/v", "/data//x/../y"),
        wire.Bind("/home/me", "/cache", read_only=True),
        wire.Volume("/volumes/w", "/w", copy_up=False),
    ),
    files=(wire.Bind("/sandbox/hosts", "/etc/hosts"),),
    confinement=wire.Confinement(masked_paths=("/proc/kcore",), read_only_paths=("/proc/sys",)),
    tty=True,
    read_only=True,
)

LIST = """\
overlay / of /image/2:/image/1 writable in /c/upper
overlay /usr of /usr read-only
copy-up /data/y /volumes/v
proc /proc - rw
sysfs /sys - ro
mountcgroups
mountdevices
devpts /dev/pts newinstance,ptmxmode=0666,mode=0620,gid=5 rw
tmpfs /dev/shm mode=1777,size=67108864 rw
mqueue /dev/mqueue - rw
openterminal
bind /home/me /cache ro
bind /volumes/w /w rw
tmpfs /cache/hot mode=700
bind /volumes/v /data/y rw
bind /sandbox/hosts /etc/hosts rw
makedirectory /srv
makereadonly /proc/sys
mask /proc/kcore
makereadonly /
pivot"""


def test_the_list_of_operations() -> None:
    assert "\n".join(rootfs.describe(operation) for operation in rootfs.operations(SPEC)) == LIST


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        (wire.Namespaces(shared_memory=False), []),
        (wire.Namespaces(own_ipc=False), ["bind /dev/shm /dev/shm rw"]),
        (wire.Namespaces(own_ipc=False, ipc_of=wire.Identity(1, 0, 0, "")), ["sharememory"]),
        (wire.Namespaces(own_pid=False), ["tmpfs /dev/shm mode=1777,size=67108864 rw"]),
    ],
)
def test_shared_memory_goes_with_the_ipc_namespace(namespaces: wire.Namespaces, expected: list[str]) -> None:
    found = [rootfs.describe(operation) for operation in rootfs.operations(SPEC._replace(namespaces=namespaces))]
    rest = [line for line in LIST.splitlines() if "shm" not in line]
    assert [line for line in found if line not in rest] == expected
    assert [line for line in found if line in rest] == rest


def test_dockers_masked_and_read_only_paths_are_the_default() -> None:
    operations = rootfs.operations(SPEC._replace(confinement=wire.Confinement()))
    assert {operation.path for operation in operations if isinstance(operation, rootfs.Mask)} == set(
        rootfs.MASKED_PATHS
    )
    assert set(rootfs.READ_ONLY_PATHS) < {it.path for it in operations if isinstance(it, rootfs.MakeReadOnly)}


def test_a_privileged_one_sees_the_kernels_files_as_they_are_and_has_its_nodes_before_any_mount() -> None:
    confinement = wire.Confinement(masked_paths=(), read_only_paths=(), writable_kernel=True)
    node = wire.Device("/dev/fuse", "c", 10, 229)
    operations = rootfs.operations(SPEC._replace(confinement=confinement, devices=(node,), read_only=False))
    lines = [rootfs.describe(operation) for operation in operations]
    assert "sysfs /sys - rw" in lines
    assert rootfs.MountCgroups(read_only=False) in operations
    assert lines.index("mountdevices") < lines.index("node /dev/fuse c 10:229") < lines.index("bind /home/me /cache ro")
    assert not [it for it in operations if isinstance(it, rootfs.Mask | rootfs.MakeReadOnly)]


@pytest.mark.parametrize("target", ["/", "/proc", "/proc/1/x", "/sys/fs/cgroup", "x", "", "/x/../sys", "/.", "//proc"])
def test_refused_targets(target: str) -> None:
    for mount in (wire.Tmpfs(target), wire.Bind("/a", target), wire.Volume("/a", target)):
        with pytest.raises(rootfs.RootfsError, match="cannot mount anything at"):
            rootfs.operations(SPEC._replace(mounts=(mount,)))
    with pytest.raises(rootfs.RootfsError, match="cannot mount anything at"):
        rootfs.operations(SPEC._replace(devices=(wire.Device(target, "c", 1, 3),)))


@pytest.mark.parametrize("target", ["/process", "/system", "/dev/shm", "/a/proc"])
def test_targets_that_only_look_like_the_kernels(target: str) -> None:
    assert rootfs.operations(SPEC._replace(mounts=(wire.Tmpfs(target),)))


def test_the_first_overlay_is_the_root() -> None:
    with pytest.raises(rootfs.RootfsError, match="the first overlay is not at /"):
        rootfs.operations(SPEC._replace(overlays=(wire.Overlay("/usr", ("/usr",)),)))


def test_capability_bits() -> None:
    assert capabilities.mask(("CHOWN",)) == 1
    assert capabilities.mask(wire.DOCKER_CAPABILITIES) == 0xA80425FB
    assert capabilities.mask(("CHECKPOINT_RESTORE",)) == 1 << 40
    with pytest.raises(ValueError, match="not in tuple"):
        capabilities.mask(("NONE",))


TEXT = st.text(st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=50)


@given(st.lists(TEXT, max_size=5), st.lists(st.tuples(TEXT, TEXT), max_size=5), st.booleans())
def test_a_message_arrives_as_it_was_sent(argv: list[str], environment: list[tuple[str, str]], tty: bool) -> None:
    spec = SPEC._replace(argv=tuple(argv), environment=tuple(environment), tty=tty)
    frame = wire.Frame(7, wire.Start(None, spec))
    assert frames.decode(frames.encode(frame)) == frame


def test_a_large_message_and_descriptors_arrive() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        frame = wire.Frame(1, wire.Start(None, SPEC._replace(environment=(("A", "x" * 1_000_000),))))
        frames.send(ours, frame, (0, 1))
        received = frames.receive(theirs)
        assert received is not None
        assert received[0] == frame
        assert len(received[1]) == 2
        for descriptor in received[1]:
            socket.close(descriptor)
        ours.close()
        assert frames.receive(theirs) is None


def test_messages_of_another_version_are_understood_as_far_as_possible() -> None:
    assert frames.decode(b'{"is":"Stop","container":"c","number":15,"grace_s":1,"added_later":true}') == wire.Stop(
        "c", 15, 1
    )
    assert frames.decode(b'{"is":"Listing","running":[]}') == wire.Listing()


@pytest.mark.parametrize(
    "data", [b"", b"x", b"{}", b'{"is":"Nothing"}', b'{"is":"Stop"}', b"[" * 100_000, b'{"is":[]}', b"\xff"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(frames.WireError):
        frames.decode(data)
