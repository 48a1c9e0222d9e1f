"""The gateway's own life: killed, drained, reloaded, out of disk, out of descriptors; while a pair is running."""
import json
import os
import re
import signal
import socket
import time

import pytest

from gateway import allowed_kib, free_port, jti_of, until
from peers import expect_whole


def pair_of(peers, stream=1, viewers=2):
    publisher = peers.publish(stream)
    return publisher, [peers.watch(stream) for _ in range(viewers)]


@pytest.mark.parametrize("workers", [1, 2])
def test_g4_killed_and_back(gateway, peers, workers):
    """kill -9 and a new start: publisher and viewers, who notice and ask again, have media within 3 s."""
    g = gateway(start=False, workers=workers)
    g.config["media"]["port"] = free_port(socket.SOCK_DGRAM)
    g.start()
    p = peers(g)
    first = pair_of(p)
    for _ in range(2):
        g.kill()
        time.sleep(0.2)
        began = time.monotonic()
        g.start()
        publisher, viewers = pair_of(p)
        took = time.monotonic() - began
        assert took < 3, f"media was back after {took:.1f} s"
        with p.window() as w:
            time.sleep(0.5)
        assert w.lost == 0 or w.publishers > 1, w.__dict__
        for s in (first[0], *first[1]):
            s.leave()
        first = publisher, viewers
    assert g.stop() == 0


def test_drain_under_load(gateway, peers):
    """SIGTERM: new ones get 503, those there are told, the process ends by its deadline with 0."""
    g = gateway(workers=2, drain={"deadline": "3s"})
    p = peers(g)
    publisher, viewers = pair_of(p, viewers=20)
    reader = socket.create_connection(("127.0.0.1", g.port))
    reader.sendall(b"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bench\r\n\r\n")
    until(lambda: b"200" in reader.recv(4096), 3, "the event stream")
    began = time.monotonic()
    g.signal(signal.SIGTERM)
    until(lambda: "draining" in g.log(), 2, "the beginning of the drain")
    refused = []
    while g.process.poll() is None and time.monotonic() - began < 6:
        try:
            refused.append(g.http("POST", "/whip/bench/late", publisher.offer, "application/sdp", timeout=1).status)
        except OSError:
            pass
    took = time.monotonic() - began
    assert g.process.poll() == 0, f"exit code {g.process.poll()} after {took:.1f} s:\n{g.log()[-2000:]}"
    assert took < 4.5
    assert 503 in refused and 201 not in refused, refused
    told = b""
    reader.settimeout(1)
    try:
        while chunk := reader.recv(65536):
            told += chunk
    except OSError:
        pass
    assert b"draining" in told
    for s in (publisher, *viewers):
        assert s.wait("failed", 2000)["why"] == "the server closed DTLS", "somebody was not told"


def test_a_second_signal_ends_at_once(gateway, peers):
    g = gateway(drain={"deadline": "60s"})
    pair_of(peers(g))
    g.signal(signal.SIGTERM)
    g.signal(signal.SIGTERM)
    until(lambda: g.process.poll() is not None, 5, "the end")
    assert g.process.returncode == 0


def test_reload_under_load(gateway, peers):
    """SIGHUP, forty times, good files and bad ones: nothing is lost, the last good one holds."""
    g = gateway(workers=2)
    p = peers(g)
    pair_of(p)
    with p.window() as w:
        for i in range(40):
            g.config["limits"] = {"sessions": 100 + i} if i % 4 != 3 else {"sessions": "many"}
            g.write_config()
            g.signal(signal.SIGHUP)
            time.sleep(0.03)
        g.config["limits"] = {"sessions": 3}
        g.write_config()
        g.signal(signal.SIGHUP)
        time.sleep(0.3)
    expect_whole(w, viewers=2)
    full = p.watch(1, up=False)
    assert full.reply.status == 503, full.reply
    assert "limits.sessions" in g.log()
    assert g.alive()


# --- disk ---

def on_small_disk(folder, size):
    """A command prefix: the state folder is a disk of its own, in a mount namespace of its own."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            f"mkdir -p {folder}/state && mount -t tmpfs -o size={size} none {folder}/state && exec \"$@\"", "sh"]


def fill(g):
    """@return the path, from outside, of a file that takes all that is left"""
    path = f"/proc/{g.pid}/root{g.folder}/state/ballast"
    with open(path, "wb", buffering=0) as f:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError:
                pass
    return path


def test_e5_full_disk(gateway, peers):
    """Audit log and revocations have no room: media and new sessions go on, a revocation holds all the same, complaints are
    few; with room again both are kept, and the audit log's chain holds."""
    g = gateway(start=False, bench=False)
    if os.geteuid() != 0:
        pytest.skip("needs a mount")
    g.prefix = on_small_disk(g.folder, "512k")
    g.config["state"] = os.path.join(g.folder, "state")
    g.start()
    p = peers(g)
    publisher, _ = pair_of(p)
    assert g.http("POST", "/v1/tokens/revoke", json.dumps({"jti": "before"}), "application/json").status == 200
    ballast = fill(g)
    token = g.key.token("watch")
    with p.window() as w:
        statuses = [g.http("POST", "/whep/city/none", publisher.offer, "application/sdp").status for _ in range(100)]
        late = p.watch(1)
        r = g.http("POST", "/v1/tokens/revoke", json.dumps({"jti": jti_of(token)}), "application/json")
        began = time.monotonic()
        refused = g.http("GET", "/v1/endpoints", token=token).status
        assert time.monotonic() - began < 1, "a full disk delays a request"
        late.end()
    assert set(statuses) == {404}
    assert w.sent > 0 and w.bad == 0
    assert refused == 401, f"a revoked token is good while the disk is full (the revocation was answered {r})"
    assert r.status in (200, 202, 500, 503, 507), r
    assert g.alive()
    assert len(re.findall(r"cannot write|state\.db", g.log())) <= 10, g.log()[-3000:]
    os.unlink(ballast)
    again = g.key.token("watch")
    r = until(lambda: (lambda r: r.status == 200 and r)(
        g.http("POST", "/v1/tokens/revoke", json.dumps({"jti": jti_of(again)}), "application/json")), 10, "a revocation that is kept")
    n = g.http("GET", "/v1/audit").json["last"]
    assert g.http("POST", "/v1/tokens/revoke", json.dumps({"jti": "after"}), "application/json").status == 200
    audit = until(lambda: (lambda a: a["last"] > n and a)(g.http("GET", "/v1/audit").json), 10, "an audit entry with room again")
    assert audit["verified"], audit
    assert g.http("GET", "/v1/endpoints", token=token).status == 401


# --- descriptors ---

@pytest.mark.parametrize("workers", [1, 2])
def test_x4_256_descriptors(gateway, peers, workers):
    """Five hundred connections at a limit of 256: running media loses nothing, the process lives, and serves again after."""
    g = gateway(start=False, workers=workers)
    g.prefix = ["prlimit", "--nofile=256:256"]
    g.start()
    p = peers(g)
    publisher, viewers = pair_of(p)
    held = []
    with p.window() as w:
        for i in range(500):
            s = socket.socket()
            s.bind((f"127.11.0.{i // 50 + 1}", 0))
            s.settimeout(0.2)
            try:
                s.connect(("127.0.0.1", g.port))
                s.send(b"GET /healthz HTTP/1.1\r\n")
            except OSError:
                pass
            held.append(s)
        assert g.fds() <= 256
        # the oldest of those who only wait make room
        r = until(lambda: try_get(g, "/healthz"), 5, "an answer at the limit")
        assert r.status == 200
    expect_whole(w, viewers=2)
    for s in held:
        s.close()
    until(lambda: g.fds() < 100, 12, "descriptors back")
    late = p.watch(1)
    late.end()
    assert len(re.findall("cannot accept", g.log())) <= 3
    assert g.stop() == 0


def try_get(g, path):
    try:
        return g.http("GET", path, timeout=1)
    except OSError:
        return None


# --- many sessions, come and gone ---

def test_publisher_returns_within_the_hold(gateway, peers):
    """Vanished without a word, and back under its id: viewers stay and get what comes."""
    g = gateway(endpoints={"second_publisher": "take_over"})
    p = peers(g)
    publisher, viewers = pair_of(p)
    publisher.do("mute", kinds=["stun", "dtls", "rtp", "rtcp"])
    publisher.leave()
    time.sleep(0.3)
    back = p.publish(1)
    before = [v.state()["in"]["rtp"] for v in viewers]
    until(lambda: all(v.state()["in"]["rtp"] > n + 50 for v, n in zip(viewers, before)), 5, "media of the one who came back")
    with p.window() as w:
        time.sleep(1)
    expect_whole(w, viewers=2)
    assert back.state()["state"] == "ready"


def test_c6_sessions_up_and_down(gateway, peers):
    """What a session took comes back: memory, descriptors, threads, packets."""
    g = gateway(workers=2)
    p = peers(g, bitrate=300000)
    publisher = p.publish(1)

    def round(n):
        for _ in range(n // 10):
            some = [p.watch(1) for _ in range(9)] + [p.publish(2)]
            for s in some:
                s.end()

    round(70)
    rss, fds, threads = g.rss_kib(), g.fds(), g.threads()
    round(100)
    until(lambda: g.metrics()["muster_transports"] == 1, 5, "transports gone")
    assert g.rss_kib() - rss < allowed_kib(max(0.02 * rss, 1024)), f"from {rss} to {g.rss_kib()} KiB"
    assert g.fds() <= fds + 2 and g.threads() == threads
    assert not re.search(r"\b(error|warn)\b(?!.*daemon:)", g.log())
    publisher.end()
    until(lambda: g.metrics()["muster_packets_held"] <= 4096, 5, "packets given back")
