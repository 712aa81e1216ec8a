#!/usr/bin/env python3
"""A client of hearsay in one file, from docs/protocol.md alone: pyzmq, msgpack, no library.

It has one request under way at a time, which keeps the rules for a client short (libhearsay
pipelines, and changes brokers by itself). What it keeps of them: tags above everything it was told,
requests that are turned back go again under the next epoch, a retransmission has the same number and
tag, and everything it learns goes into the token.

    hearsay_client.py tcp://127.0.0.1:7700     shows it: each line says what was asked and answered
"""

import base64
import secrets
import struct
import sys
import time

import msgpack
import zmq

HEADER = struct.Struct(">BBBBHHIIIIQ")  # magic version kind flags items reason slot … message
MAGIC, VERSION = 0xE5, 1
HELLO, WELCOME, REQUEST, REPLY, TURNED_BACK, ROUTE_LOST, PING, STATUS, BYE = range(1, 10)
FRESH = 1
CLUSTER = 0x0BEE2827251D71CB  # XXH3-64 of "hearsay"
OK, NOT_REACHED, BUSY, BEHIND, RETAG, MOVED = 0, 2, 7, 8, 18, 19
TURNS = (BUSY, BEHIND, RETAG, MOVED)
LOST_WAY = -1  # ours: the route went before the answer came
COMMANDS = {  # name: number, is it an update
    "get": (1, False), "exists": (2, False), "mget": (3, False), "hget": (4, False),
    "hgetall": (5, False), "set": (16, True), "mset": (17, True), "del": (18, True),
    "incr": (19, True), "decr": (20, True), "hset": (21, True), "hdel": (22, True),
    "hincr": (23, True),
}


class Refused(Exception):
    """The request was answered with an outcome other than OK."""


class Unknown(Exception):
    """No answer: an update may have been applied. retry() asks again, call() goes on without."""


class Session:
    """A session on a connection of its own. token: text of Session.token(), of any session."""

    def __init__(self, broker, token=None, pin=-1, timeout=5.0):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 100)
        self.socket.connect(broker)
        self.timeout = timeout
        self.lineage, self.clock, self.seen = 0, 0, {}
        if token is not None:
            padded = token + "=" * (-len(token) % 4)
            _, self.lineage, self.clock, flat = msgpack.unpackb(base64.urlsafe_b64decode(padded))
            self.seen = dict(zip(flat[::2], flat[1::2]))
        self.told_at = time.monotonic()  # when self.clock was what it is
        self.last_hlc = 0  # of a tag, with room for the operations behind it
        self.id = secrets.randbits(64) or 1
        self.epoch, self.seq, self.message = 1, 0, 0
        self.pin, self.avoid = pin, 0
        self.last = None  # the last request, for retry()
        self.is_open_question = False  # whether it was executed
        self.open()

    def close(self):
        self.send(BYE, msgpack.packb([self.id]), route=self.route)
        self.socket.close()

    def token(self):
        flat = [part for pair in sorted(self.seen.items()) for part in pair]
        packed = msgpack.packb([1, self.lineage, self.clock, flat])
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    # ---- clock and token ----

    def learn_clock(self, clock):
        now = self.clock_now()
        self.clock, self.told_at = max(clock, now), time.monotonic()

    def clock_now(self):
        """The greatest clock it was told, moved on by the time since: never its own wall clock."""
        return self.clock + (int((time.monotonic() - self.told_at) * 1000) << 16)

    def stamp(self, operations):
        hlc = max(self.clock_now(), self.last_hlc) + 1
        self.last_hlc = hlc + operations
        return hlc

    def learn(self, flat):
        for incarnation, count in zip(flat[::2], flat[1::2]):
            self.seen[incarnation] = max(count, self.seen.get(incarnation, 0))

    # ---- frames ----

    def send(self, kind, body, items=0, flags=0, route=0, message=None):
        if message is None:
            self.message += 1
            message = self.message
        header = HEADER.pack(MAGIC, VERSION, kind, flags, items, 0, 0, 0, route, 0, message)
        self.socket.send(header + body)

    def receive(self, deadline):
        """The next frame that is not a PING: kind, reason, route, message, body."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self.socket.poll(left * 1000):
                raise Unknown("no answer in time")
            frame = self.socket.recv()
            if len(frame) < HEADER.size:
                continue
            magic, version, kind, flags, _, reason, _, _, route, _, n = HEADER.unpack_from(frame)
            if magic != MAGIC or version != VERSION:
                continue
            if kind == PING and flags == 0:
                self.send(PING, b"", flags=1, message=n)
            elif kind != PING:
                return kind, reason, route, n, frame[HEADER.size :]

    def open(self):
        """HELLO until a replica takes the session, or the time is up."""
        deadline = time.monotonic() + self.timeout
        flat = [part for pair in sorted(self.seen.items()) for part in pair]
        while True:
            hello = [self.id, CLUSTER, self.lineage, self.clock, flat, self.pin, self.avoid]
            self.send(HELLO, msgpack.packb(hello), items=1)
            kind = None
            while kind != WELCOME:
                kind, reason, self.route, _, body = self.receive(deadline)
            _, self.replica, self.incarnation, lineage, clock, text = msgpack.unpackb(body)[:6]
            if reason == OK:
                self.lineage = lineage or self.lineage
                self.learn_clock(clock)
                return
            if reason not in (NOT_REACHED, BUSY):
                raise Refused(f"outcome {reason}: {text}")
            time.sleep(0.05)

    # ---- requests ----

    def call(self, name, *arguments):
        """Asks and waits for the value. An Unknown update may be asked again by retry()."""
        if self.is_open_question:
            self.begin_anew()
        number, is_update = COMMANDS[name]
        words = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
        self.seq += 1
        hlc = self.stamp(len(words)) if is_update else 0
        self.last = {"seq": self.seq, "hlc": hlc, "number": number, "words": words, "flags": FRESH}
        return self.exchange()

    def retry(self):
        """The last request once more, with the same number and tag: it takes effect once."""
        self.last["flags"] = 0 if self.last["hlc"] else FRESH
        self.epoch += 1
        return self.exchange()

    def begin_anew(self):
        """Nobody will ever know about the last update: the session goes on under another name."""
        self.send(BYE, msgpack.packb([self.id]), route=self.route)
        self.id, self.seq = secrets.randbits(64) or 1, 0
        self.epoch += 1
        self.is_open_question = False
        self.open()

    def exchange(self):
        request = self.last
        deadline = time.monotonic() + self.timeout
        self.is_open_question = bool(request["hlc"])
        while True:
            left_ms = max(0, int((deadline - time.monotonic()) * 1000))
            item = [self.id, self.epoch, request["seq"], request["flags"], left_ms, None, None,
                    request["hlc"], request["seq"] - 1, request["number"], *request["words"]]
            self.send(REQUEST, msgpack.packb([item]), items=1, route=self.route)
            request["message"] = self.message
            outcome, value = self.await_reply(deadline)
            if outcome == OK:
                self.is_open_question = False
                return value
            if outcome == LOST_WAY:
                # An update may have been executed: it keeps its tag, so it takes effect once.
                request["flags"] = 0 if request["hlc"] else FRESH
            elif outcome in TURNS:
                # Certainly not executed this time; if it never went out before, not at all.
                if request["hlc"] and request["flags"] == FRESH:
                    request["hlc"] = self.stamp(len(request["words"]))
            elif request["flags"] == FRESH:
                self.is_open_question = False
                raise Refused(f"outcome {outcome}: {value}")
            else:
                raise Unknown(f"sent twice, refused the second time with outcome {outcome}")
            self.epoch += 1
            if outcome == BUSY:
                time.sleep(0.01)
            elif outcome in (BEHIND, MOVED, LOST_WAY):
                self.avoid = self.incarnation if outcome == BEHIND else 0
                self.open()

    def await_reply(self, deadline):
        while True:
            kind, reason, route, n, body = self.receive(deadline)
            if kind == ROUTE_LOST:
                return LOST_WAY, None
            if kind == TURNED_BACK:
                self.route = route or self.route
                if n > self.last["message"]:
                    continue  # ours went on and is answered; HELLO again comes with the next MOVED
                return reason, "turned back by the broker"
            if kind != REPLY:
                continue
            for item in msgpack.unpackb(body, strict_map_key=False):
                _, epoch, seq, outcome, value, token, clock = item[:7]
                if (epoch, seq) != (self.epoch, self.last["seq"]):
                    continue  # of an epoch that is over
                self.learn_clock(clock)
                if outcome not in TURNS:
                    self.learn(token)
                return outcome, value


def demonstrate(broker):
    def show(text, answer):
        print(f"{text} -> {answer.decode() if isinstance(answer, bytes) else answer}")

    first = Session(broker)
    show("set greeting", first.call("set", "greeting", "hello from Python"))
    show("get greeting", first.call("get", "greeting"))
    show("incr visits 41", first.call("incr", "visits", 41))
    show("incr visits", first.call("incr", "visits"))
    show("the same, sent again", first.retry())
    show("get visits", first.call("get", "visits"))
    try:
        first.call("incr", "greeting")
    except Refused as why:
        show("incr greeting", f"refused, {why}")
    second = Session(broker, token=first.token())
    show("another session, by the token", second.call("get", "visits"))
    first.close()
    second.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    demonstrate(sys.argv[1])
