"""What both are asked to run: services of a busybox web server, each with a static address and a published port."""

import pathlib
import re
import shutil
import subprocess

FIRST_PORT = 20000
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "www")
SERVICE = """\
  s{number}:
    image: {image}
    command: [httpd, -f, -p, "8080", -h, /www]
    init: true
    restart: always
    networks:
      lab:
        ipv4_address: {address}
    ports:
      - "{port}:8080"
"""
NETWORKS = """\
networks:
  lab:
    ipam:
      config:
        - subnet: 10.77.0.0/16
"""


def compose_file(size: int, image: str) -> str:
    services = (
        SERVICE.format(number=number, image=image, address=address_of(number), port=port_of(number))
        for number in range(size)
    )
    return f"name: bench\nservices:\n{''.join(services)}{NETWORKS}"


def address_of(number: int) -> str:
    return f"10.77.{1 + number // 200}.{number % 200 + 10}"


def port_of(number: int) -> int:
    return FIRST_PORT + number


def make_root(top: pathlib.Path) -> None:
    """A busybox root file system."""
    for name in DIRECTORIES:
        (top / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", top / "bin/busybox")
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (top / "bin" / applet).symlink_to("busybox")
    for program in ("iperf3", "dnsperf"):
        _copy_program(pathlib.Path(shutil.which(program) or f"/usr/bin/{program}"), top)
    (top / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (top / "etc/group").write_text("root:x:0:\n")
    (top / "www/index.html").write_text("hello\n")
    top.chmod(0o755)


def _copy_program(program: pathlib.Path, top: pathlib.Path) -> None:
    """With the libraries that it is linked with, where it looks for them."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (str(program), *re.findall(r"(/\S+) \(0x", told)):
        target = top / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
