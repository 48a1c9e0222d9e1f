"""mu-attack, told by Python what to do: sessions with the gateway, good ones and others."""
import json
import os
import re
import select
import subprocess
import time

from gateway import BUILD

PROGRAM = os.path.join(BUILD, "tests/cases/mu-attack")


class Peers:
    """One process of mu-attack; `base` is its own part of 127.0.0.0/8."""

    def __init__(self, gateway, base="127.1", profile="gcm", nack=True, bitrate=2500000):
        self.gateway = gateway
        self.process = subprocess.Popen(
            [PROGRAM, "--base", base, "--profile", profile, "--bitrate", str(bitrate), *(["--nack"] if nack else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.left = b""

    def start(self, verb, **arguments):
        """A command whose answer is fetched later, by answer()."""
        self.process.stdin.write(json.dumps({"do": verb, **arguments}).encode() + b"\n")

    def answer(self, timeout=60):
        end = time.monotonic() + timeout
        while b"\n" not in self.left:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, "mu-attack does not answer"
            got = os.read(self.process.stdout.fileno(), 1 << 20)
            assert got, f"mu-attack ended with {self.process.wait()}"
            self.left += got
        line, self.left = self.left.split(b"\n", 1)
        reply = json.loads(line)
        assert reply["ok"], f"mu-attack: {reply['error']}"
        return reply

    def do(self, verb, timeout=60, **arguments):
        self.start(verb, **arguments)
        return self.answer(timeout)

    def publish(self, stream=0, **more):
        return Session(self, True, stream, **more)

    def watch(self, stream=0, **more):
        return Session(self, False, stream, **more)

    def stranger(self, port):
        return Stranger(self, port)

    def window(self):
        return Window(self)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


class Window:
    """with peers.window() as w: ...; then w.lost and what else "end" tells."""

    def __init__(self, peers):
        self.peers = peers

    def __enter__(self):
        self.peers.do("begin")
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.__dict__.update(self.peers.do("end"))


class Stranger:
    def __init__(self, peers, port):
        self.peers = peers
        self.id = peers.do("stranger", host="127.0.0.1", port=port)["id"]

    def do(self, verb, **arguments):
        return self.peers.do(verb, id=self.id, **arguments)

    def state(self):
        return self.do("state")

    def leave(self):
        self.do("leave")


class Session(Stranger):
    """POSTs the offer at once; `mutate` may change it before, `up` waits until media flows. `tcp`: by a connection."""

    def __init__(self, peers, publish, stream, mutate=None, token="default", name=None, up=True, quiet=(), path=None,
                 tcp=False):
        g = peers.gateway
        opened = peers.do("open", publish=publish, stream=stream)
        self.peers, self.id, self.publishes, self.location = peers, opened["id"], publish, None
        self.offer, self.ufrag, self.address = opened["offer"], opened["ufrag"], (opened["address"], opened["port"])
        if mutate:
            self.offer = mutate(self.offer)
        path = path or f"/{'whip' if publish else 'whep'}/{g.site}/{name or f's{stream}'}"
        self.reply = g.http("POST", path, self.offer, "application/sdp", token=token)
        self.token = token
        if self.reply.status != 201:
            assert not up, f"POST {path}: {self.reply}"
            return
        self.location = self.reply.headers["Location"]
        self.answer = self.reply.text
        found = re.search(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+)", self.answer, re.I)
        self.port = int(found.group(1))
        self.pwd = re.search(r"a=ice-pwd:(\S+)", self.answer).group(1)
        self.remote_ufrag = re.search(r"a=ice-ufrag:(\S+)", self.answer).group(1)
        if quiet:
            self.do("mute", kinds=list(quiet))
        if tcp:
            found = re.search(r"a=candidate:\S+ 1 tcp \d+ \S+ (\d+) typ host tcptype passive", self.answer)
            self.tcp_port = int(found.group(1))
            self.do("tcp", port=self.tcp_port)
        self.do("answer", sdp=self.answer)
        if up:
            state = self.wait("up" if publish else "ready")
            assert state["state"] in ("up", "ready"), f"{path}: {state['state']} {state['why']}"

    def wait(self, state, ms=10000):
        return self.do("await", state=state, ms=ms)

    def delete(self):
        return self.peers.gateway.http("DELETE", self.location, token=self.token)

    def end(self):
        if self.location:
            self.delete()
        self.leave()


def expect_whole(window, viewers=None, repaired=0.001):
    """A pair's window: nothing lost after repair, next to nothing that needed it, nothing that was not the publisher's."""
    assert window.sent > 0 and window.viewers > 0, "the pair itself was not there"
    assert viewers is None or window.viewers == viewers
    assert window.failures == 0
    assert window.bad == 0, "something came that no publisher sent"
    assert window.lost == 0, f"{window.lost} of {window.expected} packets lost"
    assert window.recovered <= window.expected * repaired + 2, f"{window.recovered} of {window.expected} needed repair"
    assert window.duplicates <= window.recovered + 2
