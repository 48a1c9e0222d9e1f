"""ICE-TCP: sessions by connections, and who connects for other reasons."""
import os
import socket
import struct
import time

import pytest

from gateway import allowed_kib, until
from peers import expect_whole

OPTIONS = {"media": {"tcp": 0}}


def frame(data):
    return struct.pack(">H", len(data)) + data


class Strangers:
    """Connections that say what they are told to, each from an address of its own."""

    def __init__(self, port, n, say=b"", one_source=False):
        self.sockets = []
        for i in range(n):
            s = socket.socket()
            s.bind(("127.5.0.1" if one_source else f"127.5.{1 + i // 250}.{1 + i % 250}", 0))
            s.connect(("127.0.0.1", port))
            if say:
                s.sendall(say)
            self.sockets.append(s)

    def alive(self):
        """How many the gateway has not closed."""
        n = 0
        for s in self.sockets:
            s.setblocking(False)
            try:
                n += s.recv(1) != b""
            except BlockingIOError:
                n += 1
            except ConnectionError:
                pass
        return n

    def close(self):
        for s in self.sockets:
            s.close()


@pytest.fixture
def strangers():
    made = []

    def make(*a, **k):
        made.append(Strangers(*a, **k))
        return made[-1]

    yield make
    for m in made:
        m.close()


@pytest.fixture
def by_tcp(house):
    """A publisher and two viewers by TCP, of a process of their own."""
    made = [house.callers.publish(30, tcp=True)]
    until(lambda: house.gateway.http("GET", "/v1/endpoints/bench/s30").json["state"] == "live", 5, "its first packet")
    made += [house.callers.watch(30, tcp=True), house.callers.watch(30, tcp=True)]
    yield made
    for s in reversed(made):
        s.end()


def nothing_lost(w):
    """TCP repairs by itself; nothing is asked for again."""
    expect_whole(w, viewers=2, repaired=0)


def test_publish_and_watch(house, beside, by_tcp):
    with beside(), house.callers.window() as w:
        time.sleep(3)
    nothing_lost(w)
    of_tcp = [s for s in house.gateway.http("GET", "/v1/sessions").json["sessions"] if s["protocol"] == "tcp"]
    assert len(of_tcp) == 3
    assert house.gateway.metrics()["muster_tcp_connections"] == 3


def test_a_thousand_idle_connections(house, beside, by_tcp, strangers, moved):
    """They cost next to nothing, and after ten seconds they are gone. Whoever comes meanwhile is served."""
    rss = house.gateway.rss_kib()
    with beside(), house.callers.window() as w:
        idle = strangers(by_tcp[0].tcp_port, 1000)
        until(lambda: moved("tcp_connections_total") >= 1000, 5, "all of them")
        late = house.evil.watch(0, tcp=True)
        late.end()
        until(lambda: idle.alive() == 0, 15, "the end of strangers")
    nothing_lost(w)
    assert house.gateway.rss_kib() - rss < allowed_kib(16 << 10)
    assert moved("tcp_closed_total") >= 1000


def test_half_frames_and_rubbish(house, beside, by_tcp, strangers, moved):
    """Half a length, half a frame, frames of rubbish, empty ones, HTTP, TLS, and a frame that is too long."""
    port = by_tcp[0].tcp_port
    stun = bytes.fromhex("000100002112a442") + bytes(12)
    with beside(), house.callers.window() as w:
        kept = [strangers(port, 20, say) for say in (
            b"\x00", b"\x05\xdc", frame(bytes(1500))[:-1], frame(stun) * 50, frame(b"\x16\xfe\xfd" + bytes(60)) * 50,
            frame(b"\x80\x60" + bytes(100)) * 200, b"\x00\x00" * 5000, frame(os.urandom(1400)) * 100)]
        gone = [strangers(port, 20, say) for say in (
            frame(stun) + struct.pack(">H", 1501) + bytes(1501), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\xff\xff",
            b"\x16\x03\x01\x02\x00" + bytes(512))]
        for g in gone:
            until(lambda: g.alive() == 0, 5, "the end of a bad stream")
        time.sleep(1)
        for k in kept:
            assert k.alive() == 20
    nothing_lost(w)
    assert moved("tcp_closed_total") == 80


def test_connections_that_come_and_go(house, beside, by_tcp, strangers):
    with beside(), house.callers.window() as w:
        for _ in range(20):
            strangers(by_tcp[0].tcp_port, 100, b"\x00\x14ab").close()
            time.sleep(0.05)
    nothing_lost(w)


def test_more_strangers_than_there_are_places(house, beside, by_tcp, strangers, moved):
    """The oldest go, and a real call comes in between."""
    with beside(), house.callers.window() as w:
        many = strangers(by_tcp[0].tcp_port, 1500)
        late = house.evil.watch(0, tcp=True)
        late.end()
        until(lambda: many.alive() <= 1024, 5, "the end of the oldest")
    nothing_lost(w)
    assert moved("tcp_closed_total") >= 470


def test_one_source_may_have_so_many(house, beside, by_tcp, strangers, moved):
    with beside():
        many = strangers(by_tcp[0].tcp_port, 700, one_source=True)
        until(lambda: many.alive() == 512, 5, "the end of those above the limit")
    assert moved("tcp_closed_total") == 188


def test_a_viewer_that_does_not_read(house, beside, by_tcp, moved):
    """Its packets are dropped, nobody else's; once it reads it is served again."""
    slow = house.evil.watch(30, tcp=True)
    slow.do("stay")
    with beside(), house.callers.window() as w:
        slow.do("hold", on=True)
        until(lambda: moved("tcp_slow") > 100, 20, "drops")
        slow.do("hold", on=False)
        n = slow.state()["in"]["rtp"]
        until(lambda: slow.state()["in"]["rtp"] > n + 500, 5, "media again")
    nothing_lost(w)
    assert slow.state()["state"] == "ready"
    slow.end()


def test_a_connection_that_breaks_is_made_again(house, beside, by_tcp):
    viewer = house.evil.watch(30, tcp=True)
    with beside():
        for _ in range(5):
            n = viewer.state()["in"]["rtp"]
            viewer.do("tcp", port=viewer.tcp_port)  # and the old one is closed
            until(lambda: viewer.state()["in"]["rtp"] > n + 100, 5, "media by the new connection")
    viewer.end()
