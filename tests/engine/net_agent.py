"""Somebody in a network namespace: serves ports and calls others, as told by JSON lines on stdin. Run as a script."""

import json
import socket
import sys
import threading


def serve_tcp(port: int) -> None:
    listener = socket.create_server(("0.0.0.0", port), backlog=50)

    def loop() -> None:
        while True:
            connection, peer = listener.accept()
            with connection:
                connection.sendall(peer[0].encode())

    threading.Thread(target=loop, daemon=True).start()


def serve_udp(port: int) -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("0.0.0.0", port))

    def loop() -> None:
        while True:
            _, peer = listener.recvfrom(99)
            listener.sendto(peer[0].encode(), peer)

    threading.Thread(target=loop, daemon=True).start()


def call(kind: str, address: str, port: int, timeout: float, source: str = "") -> str:
    """What address the other side saw, or how it failed."""
    how = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, how) as caller:
        caller.settimeout(timeout)
        try:
            if source:
                caller.bind((source, 0))
            caller.connect((address, port))
            if kind == "udp":
                caller.send(b"?")
            return caller.recv(99).decode()
        except OSError as error:
            return type(error).__name__


def ask(address: str, message: str, timeout: float, stream: bool, port: int = 53) -> str:
    """A DNS message in hex, and its answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as caller:
        caller.settimeout(timeout)
        question = bytes.fromhex(message)
        try:
            caller.connect((address, port))
            caller.send(len(question).to_bytes(2, "big") + question if stream else question)
            answer = caller.recv(65535)
            while stream and len(answer) < 2 + int.from_bytes(answer[:2], "big"):
                more = caller.recv(65535)
                if not more:
                    return "EOF"
                answer += more
            return answer[2 * stream :].hex()
        except OSError as error:
            return type(error).__name__


COMMANDS = {"tcp": serve_tcp, "udp": serve_udp, "call": call, "ask": ask}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            said = COMMANDS[name](*arguments)
        except OSError as failure:
            said = repr(failure)
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
