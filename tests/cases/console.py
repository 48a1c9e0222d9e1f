"""Consoles (docs/signalling.md) over plain sockets, so that they can also do what no client does: a WebSocket by hand, a
member of a conference whose media mu-attack sends and receives, and one thread that reads for all of them."""
import base64
import collections
import json
import os
import re
import selectors
import socket
import struct
import threading
import time

from gateway import until

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HANDSHAKE = ("GET /v1/console HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: muster.1\r\n\r\n")


def handshake(gateway):
    return HANDSHAKE.format(host=gateway.url_host, key=base64.b64encode(os.urandom(16)).decode()).encode()


def frame(data, op=TEXT, fin=True, length=None, mask=b"\x01\x02\x03\x04", rsv=0):
    """@param length what the header says, if that is not so; @param mask None: unmasked"""
    n = len(data) if length is None else length
    bit = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv | op])
    head += bytes([bit | n]) if n < 126 else struct.pack(">BH", bit | 126, n) if n < 65536 else struct.pack(">BQ", bit | 127, n)
    if not mask:
        return head + data
    long = (mask * (len(data) // 4 + 1))[:len(data)]
    return head + mask + (int.from_bytes(data, "big") ^ int.from_bytes(long, "big")).to_bytes(len(data), "big")


class Hub(threading.Thread):
    """Reads whatever comes to any console, and answers pings."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.lock = threading.Condition()
        self.start()

    def run(self):
        while True:
            for key, _ in self.selector.select(0.05):
                with self.lock:
                    key.data.read_some()
                    self.lock.notify_all()


hub = None


class Console:
    def __init__(self, gateway, source=None, receive=True, rcvbuf=None):
        global hub
        self.gateway, self.left, self.messages, self.waiting = gateway, b"", collections.deque(), collections.deque()
        self.code, self.closed_at = None, None  # what it was closed with; 0: without a word
        self.last_id, self.answers_pings, self.got_bytes = 0, True, 0
        self.socket = socket.socket()
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", gateway.port))
        self.socket.sendall(handshake(gateway))
        while b"\r\n\r\n" not in self.left:
            got = self.socket.recv(4096)
            assert got, f"no handshake: {self.left[:300]}"
            self.left += got
        head, self.left = self.left.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head
        hub = hub or Hub()
        self.reads = receive
        if receive:
            hub.selector.register(self.socket, selectors.EVENT_READ, self)

    # --- read: the hub's thread, under its lock ---

    def read_some(self):
        try:
            got = self.socket.recv(1 << 18)
        except OSError:
            got = b""
        if not got:
            self.gone()
            return
        self.got_bytes += len(got)
        self.left += got
        while self.read_frame():
            pass

    def gone(self):
        if self.reads:
            hub.selector.unregister(self.socket)
            self.reads = False
        self.code, self.closed_at = self.code or 0, time.monotonic()

    def read_frame(self):
        if len(self.left) < 2:
            return False
        n, at = self.left[1], 2
        if n == 126:
            n, at = int.from_bytes(self.left[2:4], "big"), 4
        elif n == 127:
            n, at = int.from_bytes(self.left[2:10], "big"), 10
        if len(self.left) < at + n:
            return False
        op, data, self.left = self.left[0] & 15, self.left[at:at + n], self.left[at + n:]
        if op == TEXT:
            message = json.loads(data)
            self.messages.append(message)
            self.waiting.append(message)
        elif op == PING and self.answers_pings:
            try:
                self.socket.sendall(frame(data, PONG))
            except OSError:
                pass
        elif op == CLOSE:
            self.code = int.from_bytes(data[:2], "big")
        return True

    # --- said and awaited ---

    def send(self, data):
        """@return False: it is closed"""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def say(self, kind, **members):
        self.last_id += 1
        self.send(frame(json.dumps({"type": kind, "id": self.last_id, **members}).encode()))
        return self.last_id

    def wait(self, test, seconds=5, what="a message"):
        """@return the first message yet to be seen that passes; those before it are seen, too"""
        end = time.monotonic() + seconds
        with hub.lock:
            while True:
                while self.waiting:
                    message = self.waiting.popleft()
                    if test(message):
                        return message
                left = end - time.monotonic()
                assert self.code is None, f"{what}: the connection was closed ({self.code})"
                assert left > 0, f"{what}: not within {seconds} s"
                hub.lock.wait(left)

    def find(self, test, seconds=5, what="a message"):
        """@return the last of all messages that passes"""
        end = time.monotonic() + seconds
        with hub.lock:
            while True:
                found = next((m for m in reversed(self.messages) if test(m)), None)
                if found:
                    return found
                left = end - time.monotonic()
                assert left > 0, f"{what}: not within {seconds} s (code {self.code})"
                hub.lock.wait(min(left, 0.2))

    def ask(self, kind, seconds=5, **members):
        """@return the answer, of whatever type"""
        id = self.say(kind, **members)
        return self.find(lambda m: m.get("id") == id, seconds, f"an answer to {kind}")

    def hello(self, token="default", **members):
        return self.ask("hello", token=self.gateway.token if token == "default" else token, **members)

    def closed(self, seconds=5):
        """@return the code it was closed with"""
        return until(lambda: self.code is not None and (self.code or -1), seconds, "its end")

    def drop(self):
        with hub.lock:
            self.gone()
        self.socket.close()


def status(message):
    return message["error"]["status"] if message["type"] == "error" else 0


class Member:
    """In a conference, publishing stream `stream` as <site>/<name>, and watching what it is told to."""

    def __init__(self, peers, stream, conference="morning", token="default", name=None, publish=True, console=None, lies=False):
        self.lies = lies  # says nothing of its link: what it is thought to bear stays as it begins
        self.peers, self.stream, self.up, self.down = peers, stream, None, None
        self.gateway = peers.gateway
        self.endpoint = f"{self.gateway.site}/{name or f's{stream}'}"
        self.console = console or Console(self.gateway)
        self.token = token
        welcome = self.console.hello(token, endpoint=self.endpoint)
        assert welcome["type"] == "welcome", welcome
        self.session = welcome["session"]
        self.answered = 0
        if conference:
            self.ok("join", conference=conference, name=self.endpoint)
        if publish:
            self.publish()

    def ok(self, kind, **members):
        reply = self.console.ask(kind, **members)
        assert reply["type"] not in ("error",), reply
        return reply

    def offer(self):
        """A new up connection's offer, not sent yet. @return its text"""
        if self.up is not None:
            self.peers.do("leave", id=self.up)
        opened = self.peers.do("open", publish=True, stream=self.stream)
        self.up = opened["id"]
        return opened["offer"]

    def publish(self, wait=True):
        answer = self.ok("offer", sdp=self.offer(), fresh=True)
        self.remote = answer["sdp"]
        self.peers.do("answer", id=self.up, sdp=answer["sdp"])
        if wait:
            state = self.peers.do("await", id=self.up, state="up", ms=10000)
            assert state["state"] in ("up", "ready"), state

    def after(self, type, kind, **members):
        """@return the first message of a type behind the answer to a request"""
        answer = self.ok(kind, **members)

        def look(m):
            self.seen |= m is answer
            return self.seen and m["type"] == type

        def first():
            with hub.lock:
                self.seen = False
                return next((m for m in self.console.messages if look(m)), None)

        return until(first, 5, f"{type} behind {kind}")

    def renew(self):
        """Another down connection. @return its offer"""
        return self.after("offer", "restart", fresh=True)

    def view(self, *endpoints, label="video", width=640, height=360):
        """@return {endpoint: why} of what is missing at first"""
        self.shown = self.after("tracks", "view", tracks=[{"endpoint": e, "label": label, "width": width, "height": height}
                                                          for e in endpoints])
        return {t["endpoint"]: t["why"] for t in self.shown["missing"]}

    def accept(self, offer, mutate=None, **more):
        """Answer an offer of the gateway's. @return what it says to that"""
        if offer["fresh"] and self.down is not None:
            self.peers.do("leave", id=self.down)
            self.down = None
        done = self.peers.do("accept", sdp=offer["sdp"], lie=self.lies, **({"id": self.down} if self.down is not None else {}), **more)
        self.down = done.get("id", self.down)
        self.answered = offer["n"]
        return self.console.ask("answer", n=offer["n"], sdp=mutate(done["answer"]) if mutate else done["answer"])

    def next_offer(self, seconds=5):
        return self.console.find(lambda m: m["type"] == "offer" and m["n"] > self.answered, seconds, "an offer")

    def settle(self, *endpoints, seconds=8):
        """Answer offers until these are in slots."""
        end = time.monotonic() + seconds
        while True:
            with hub.lock:
                said = [m for m in self.console.messages if m["type"] in ("offer", "tracks")]
            due = [m for m in said if m["type"] == "offer" and m["n"] > self.answered]
            shown = [m for m in said if m["type"] == "tracks"]
            if due:
                reply = self.accept(due[-1])
                assert reply["type"] == "ok", reply
            elif shown and set(endpoints) <= {t["endpoint"] for t in shown[-1]["tracks"] if t["kind"] == "video"}:
                return shown[-1]
            assert time.monotonic() < end, f"{endpoints} were not shown: {shown[-1:]}"
            time.sleep(0.02)

    def flows(self, **how):
        return self.peers.do("flows", id=self.down, **how)

    def streams(self):
        """{stream: packets of video} since the last reset"""
        return {f["stream"]: f["n"] for f in self.flows()["flows"] if f["media"] == "video"}

    def silent_within(self, seconds, what):
        """Nothing more comes to it."""
        until(lambda: self.flows()["silent_ms"] > 400, seconds + 0.5, f"silence after {what}")

    def leave(self):
        for id in (self.up, self.down):
            if id is not None:
                self.peers.do("leave", id=id)
        self.up = self.down = None
        self.console.drop()


class Pair:
    """Two members who see each other and must not notice anything. Whether a busy machine's links bear a picture is not asked here."""

    def __init__(self, peers, conference="morning", streams=(0, 1), token="default"):
        self.members = [Member(peers, s, conference, token=token, lies=True) for s in streams]
        a, b = self.members
        a.view(b.endpoint)
        b.view(a.endpoint)
        a.settle(b.endpoint)
        b.settle(a.endpoint)
        until(lambda: a.streams().get(streams[1], 0) > 20 and b.streams().get(streams[0], 0) > 20, 10, "the pair's pictures")

    def __enter__(self):
        self.began = time.monotonic()
        for m in self.members:
            m.flows(reset=True)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        left = 0.4 - (time.monotonic() - self.began)
        if left > 0:
            time.sleep(left)
        self.expect_whole()

    def expect_whole(self):
        seconds = time.monotonic() - self.began
        for me, other, how in ((*self.members, {"settle": True}), (*self.members[::-1], {"settled": True})):
            got = me.flows(**how)
            flow = next((f for f in got["flows"] if f["stream"] == other.stream and f["media"] == "video"), None)
            assert flow, f"{me.endpoint} got nothing of {other.endpoint} in {seconds:.1f} s: {got}"
            assert flow["lost"] == 0, f"{me.endpoint} lost {flow['lost']} packets of {other.endpoint} beside {flow['n']}: {flow}"
            assert flow["n"] > 20 * seconds, f"{me.endpoint} got {flow['n']} packets of {other.endpoint} in {seconds:.1f} s"
            assert got["unknown"] == 0
            # who speaks in the conference is heard by all, who is looked at by none
            assert {f["stream"] for f in got["flows"] if f["media"] == "video"} <= {other.stream}, f"{me.endpoint} got somebody else's: {got}"
            assert me.console.code is None, f"{me.endpoint} was closed with {me.console.code}"


def slots_of(sdp):
    """[(mid, kind)] of an offer"""
    return [(m[2], m[1]) for m in re.finditer(r"m=(\w+) .*?a=mid:(\S+)", sdp, re.S)]
