"""Runs in the guest: does what the machine outside asks for on a serial port, one command at a time.

Both ways go lines of JSON. In: {"argv", "environment", "directory", "input"}. Out: {"text"} as the command writes, then {"code"}.
After each boot it says {"hello": boot id} first.
"""

import json
import os
import signal
import subprocess
import sys

PORT = "/dev/vport0p1"


def main():
    port = os.open(PORT, os.O_RDWR)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        tell(port, {"hello": file.read().strip()})
    waiting = b""
    while True:
        waiting += os.read(port, 1 << 16)
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            try:
                tell(port, {"code": carry_out(port, json.loads(line))})
            except Exception as error:
                tell(port, {"text": f"agent: {error!r}\n"})
                tell(port, {"code": 255})


def carry_out(port, asked):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = subprocess.Popen(
        asked["argv"],
        cwd=asked["directory"],
        env=asked["environment"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    process.stdin.write(asked["input"].encode())
    process.stdin.close()
    while text := process.stdout.read1(1 << 14):
        tell(port, {"text": text.decode(errors="replace")})
    return process.wait()


def tell(port, what):
    line = json.dumps(what).encode() + b"\n"
    while line:
        line = line[os.write(port, line) :]


sys.exit(main())
