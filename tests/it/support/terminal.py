"""Runs a program on a terminal of its own, once it has drawn something, does one thing to it, and says
on standard output, as JSON, how it ended and in which state it has left the terminal.

    terminal.py DEED COMMAND…

DEED: `key:X` types a key, `signal:NAME` sends the program a signal, `kill:PID` ends another process,
`resize:COLUMNS:ROWS` makes the terminal another size and then types `q`.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

DEADLINE = time.monotonic() + 40


def size(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read(master, until):
    """Whatever is written until `until` holds for it."""
    written = b""
    while not until(written):
        if time.monotonic() > DEADLINE:
            raise SystemExit(f"nothing more came: {written!r}")
        ready, _, _ = select.select([master], [], [], 0.1)
        if ready:
            try:
                written += os.read(master, 65536)
            except OSError:
                break
    return written


def main():
    deed, command = sys.argv[1], sys.argv[2:]
    master, slave = pty.openpty()
    size(slave, 120, 40)
    before = termios.tcgetattr(slave)
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    drawn = read(master, lambda text: b"q quits" in text or child.poll() is not None)
    during = termios.tcgetattr(slave)
    kind, _, what = deed.partition(":")
    if kind == "key":
        os.write(master, what.encode())
    elif kind == "signal":
        child.send_signal(getattr(signal, "SIG" + what))
    elif kind == "kill":
        os.kill(int(what), signal.SIGKILL)
    elif kind == "resize":
        columns, rows = map(int, what.split(":"))
        size(slave, columns, rows)
        # The kernel tells the group that has the terminal; this program has none.
        child.send_signal(signal.SIGWINCH)
        # A frame of the old size may still be on its way.
        frame = lambda text: text.split(b"\x1b[H")[-1]
        drawn = frame(read(master, lambda text: frame(text).count(b"\r\n") == rows - 1 and b"q quits" in frame(text)))
        os.write(master, b"q")
    rest = read(master, lambda _: child.poll() is not None)
    while select.select([master], [], [], 0.1)[0]:
        rest += os.read(master, 65536)
    print(json.dumps({
        "exit": child.returncode,
        "restored": termios.tcgetattr(slave) == before,
        "taken_over": not during[3] & (termios.ICANON | termios.ECHO | termios.ISIG),
        "drawn": drawn.decode(errors="replace"),
        "rest": rest.decode(errors="replace"),
    }))


main()
