"""A service manager in small: what systemd does for a service with FileDescriptorStoreMax= (sd_notify(3)) and for one
with a socket unit (sd_listen_fds(3)).

    manager.py [--listen HOST:PORT]... PROGRAM ARGUMENT...

It starts the program and does what each line of its standard input says: `restart` or `stop`, both by SIGTERM. On its
standard output is a line for each change: `started PID`, `exited CODE`, `kept NAME`, `closed NAME`.
"""

import os
import selectors
import signal
import socket
import sys
import tempfile


def main():
    arguments = sys.argv[1:]
    passed = []
    while arguments[0] == "--listen":
        host, port = arguments[1].rsplit(":", 1)
        listener = socket.create_server((host, int(port)), backlog=4096)
        passed.append(("vestibule.socket", listener.detach()))
        arguments = arguments[2:]
    with tempfile.TemporaryDirectory() as folder:
        Manager(arguments, passed, os.path.join(folder, "notify")).run()


class Manager:
    def __init__(self, command, passed, notify_path):
        self.command = command
        self.passed = passed
        self.kept = []
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(notify_path)
        self.environment = dict(os.environ, NOTIFY_SOCKET=notify_path)
        self.child = None

    def run(self):
        self.start()
        events = selectors.DefaultSelector()
        events.register(self.notify, selectors.EVENT_READ)
        events.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is self.notify:
                    self.hear()
                else:
                    word = sys.stdin.readline().strip()
                    self.stop()
                    if word != "restart":
                        return
                    self.start()

    def start(self):
        sockets = self.passed + self.kept

        def give():
            # Above everything first, so that no place is overwritten before it is moved.
            high = [os.dup2(fd, 100 + at) for at, (_, fd) in enumerate(sockets)]
            for at, fd in enumerate(high):
                os.dup2(fd, 3 + at, inheritable=True)
                os.close(fd)
            os.environ.update(self.environment)
            if sockets:
                os.environ["LISTEN_PID"] = str(os.getpid())
                os.environ["LISTEN_FDS"] = str(len(sockets))
                os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in sockets)
            os.execvp(self.command[0], self.command)

        # The whole of the child's way is `give`, which never returns.
        self.child = os.fork()
        if self.child == 0:
            give()
        say("started", self.child)

    def stop(self):
        os.kill(self.child, signal.SIGTERM)
        _, status = os.waitpid(self.child, 0)
        # What it said last is still in the queue.
        self.notify.setblocking(False)
        try:
            while True:
                self.hear()
        except BlockingIOError:
            self.notify.setblocking(True)
        say("exited", os.waitstatus_to_exitcode(status))

    def hear(self):
        text, fds, _, _ = socket.recv_fds(self.notify, 4096, 8)
        said = dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)
        name = said.get("FDNAME", "stored")
        if said.get("FDSTORE") == "1":
            for fd in fds:
                os.set_inheritable(fd, False)
                self.kept.append((name, fd))
            say("kept", name)
        if said.get("FDSTOREREMOVE") == "1":
            for gone in [fd for kept, fd in self.kept if kept == name]:
                os.close(gone)
            self.kept = [(kept, fd) for kept, fd in self.kept if kept != name]
            say("closed", name)


def say(*words):
    print(*words, flush=True)


main()
