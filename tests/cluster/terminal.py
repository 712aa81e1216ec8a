#!/usr/bin/env python3
"""Runs a program on a terminal of its own (a pty) and talks with it.

usage: terminal.py PROGRAM [ARGUMENTS...] < STEPS

One step a line: "send TEXT", with Python's escapes (\\r is Enter, \\t Tab, \\x03 Ctrl-C);
"expect TEXT", which waits until TEXT has come behind what the expect before it found; "absent
TEXT", which fails when TEXT has come anywhere until now; "resize COLUMNS"; "run COMMAND", by the
shell; "code N", which waits for the program's end. What came is written to standard output, a failed step to standard error:
exit code 1.
"""

import codecs
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

DEADLINE_S = 20


class Terminal:
    def __init__(self, command):
        self.came = b""
        self.found = 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.resize(100)

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def read(self, seconds):
        """Takes what comes within that time; false at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # the program has closed it
            return False
        self.came += piece
        return piece != b""

    def expect(self, text):
        end = time.monotonic() + DEADLINE_S
        goes_on = True
        while True:
            at = self.came.find(text, self.found)
            if at >= 0:
                self.found = at + len(text)
                return True
            if not goes_on or time.monotonic() > end:
                return False
            goes_on = self.read(0.1)

    def code(self):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        return None


def step(terminal, line):
    verb, _, rest = line.partition(" ")
    text = codecs.escape_decode(rest.encode())[0]
    if verb == "send":
        os.write(terminal.fd, text)
        return True
    if verb == "expect":
        return terminal.expect(text)
    if verb == "absent":
        return text not in terminal.came
    if verb == "resize":
        terminal.resize(int(rest))
        return True
    if verb == "run":
        return os.system(rest) == 0
    if verb == "code":
        return terminal.code() == int(rest)
    raise SystemExit("terminal.py: no such step: " + line)


def main():
    terminal = Terminal(sys.argv[1:])
    failed = None
    for line in sys.stdin.read().splitlines():
        if not step(terminal, line):
            failed = line
            break
    if failed is not None:
        try:
            os.kill(terminal.pid, 9)
        except ProcessLookupError:
            pass
    sys.stdout.write(terminal.came.decode(errors="backslashreplace"))
    if failed is not None:
        sys.stderr.write("\nterminal.py: in vain: %s\n" % failed)
        raise SystemExit(1)


main()
