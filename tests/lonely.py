"""Runs a program where no host can be reached, and writes down every name that it looks up.

    unshare --map-root-user --net --mount python tests/lonely.py LOG COMMAND...

Linux only. The program sees a network of its own with nothing but itself in it, and this program
as the server of names there, which knows none.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

SIOCSIFFLAGS, IFF_UP, MS_BIND = 0x8914, 1, 4096


def main() -> None:
    """Run the command, and end with its exit status."""
    log, *command = sys.argv[1:]
    switch_loopback_on()
    ask_here_for_names(Path(log).with_suffix(".conf"))
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=answer, args=(server, Path(log)), daemon=True).start()
    Path(log).touch()
    sys.exit(subprocess.run(command, check=False).returncode)


def switch_loopback_on() -> None:
    """A new network has a loopback, switched off."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def ask_here_for_names(settings: Path) -> None:
    """Lay a file over the one that says where names are asked for; in this mount space only."""
    settings.write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n", encoding="utf-8")
    libc = ctypes.CDLL(None, use_errno=True)
    real = os.path.realpath("/etc/resolv.conf").encode()
    if libc.mount(os.fsencode(settings), real, None, MS_BIND, None):
        raise OSError(ctypes.get_errno(), "resolv.conf cannot be laid over")


def answer(server: socket.socket, log: Path) -> None:
    """Say that there is no such name, and write it down."""
    while True:
        question, asker = server.recvfrom(512)
        with log.open("a", encoding="utf-8") as file:
            file.write(name_in(question) + "\n")
        server.sendto(question[:2] + b"\x81\x83" + question[4:], asker)


def name_in(question: bytes) -> str:
    """Read the name that a question of DNS asks for."""
    parts, place = [], 12
    while length := question[place]:
        parts.append(question[place + 1 : place + 1 + length].decode(errors="replace"))
        place += 1 + length
    return ".".join(parts)


if __name__ == "__main__":
    main()
