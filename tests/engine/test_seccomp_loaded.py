"""The default seccomp program in force on a real process: what it gets from the kernel."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.rights import seccomp

pytestmark = pytest.mark.root

TOP = Path(__file__).parent.parent.parent
SCRIPT = """
import ctypes, errno, json, os, socket, sys
sys.path.insert(0, {top!r})
from engine.process import syscalls
syscalls.load_seccomp(bytes.fromhex(sys.stdin.read()))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
    return errno.errorcode.get(ctypes.get_errno(), '') if result < 0 else 'ok'
def family(number):
    try:
        socket.socket(number, socket.SOCK_DGRAM).close()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]
n = json.loads({numbers!r})
found = dict(
    unshare=call(n['unshare'], 0x10000000), keyctl=call(n['keyctl'], 0, -3, 0), clone3=call(n['clone3'], 0, 0),
    mount=call(n['mount'], 0, 0, 0, 0), newer=call(600), x32=call(0x40000000 | n['getpid']),
    personality=call(n['personality'], 0x0040000), af_alg=family(38), af_vsock=family(40), af_inet=family(2), af_unix=family(1),
    getpid=call(n['getpid']),
)
os.close(os.open('/dev/null', os.O_RDWR))
pid = os.fork()
if pid == 0: os._exit(7)
found['child'] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
import threading
thread = threading.Thread(target=lambda: found.update(thread='ok')); thread.start(); thread.join()
print(json.dumps(found))
"""


def confined(code: str) -> "subprocess.CompletedProcess[str]":
    architecture = os.uname().machine
    program = seccomp.compile(seccomp.default_profile(), frozenset({"CAP_CHOWN"}), architecture)
    numbers = json.dumps(seccomp.numbers(architecture))
    script = code.format(top=str(TOP), numbers=numbers)
    return subprocess.run([sys.executable, "-I", "-c", script], input=program.hex(), capture_output=True, text=True)


def test_a_confined_process_gets_what_the_profile_says() -> None:
    done = confined(SCRIPT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        **dict.fromkeys(("unshare", "keyctl", "mount", "personality", "af_alg", "af_vsock"), "EPERM"),
        **dict.fromkeys(("clone3", "newer", "x32"), "ENOSYS"),
        **dict.fromkeys(("af_inet", "af_unix", "getpid", "thread"), "ok"),
        "child": 7,
    }
    assert errno.ENOSYS == 38


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="i386 calls exist on x86_64 only")
def test_a_32_bit_call_kills() -> None:
    """`int 0x80` from a 64-bit process: getpid by its i386 number."""
    code = """
import ctypes, mmap, sys
sys.path.insert(0, {top!r})
from engine.process import syscalls
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex('b814000000cd80c3'))
entry = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
if entry() > 0:
    print('works', flush=True)
syscalls.load_seccomp(bytes.fromhex(sys.stdin.read()))
entry()
print('survived')
"""
    done = confined(code)
    if not done.stdout and done.returncode == -signal.SIGSEGV:
        pytest.skip("this kernel has no i386 calls at all")
    assert (done.stdout, done.returncode) == ("works\n", -signal.SIGSYS)
