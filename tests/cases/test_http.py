"""RELIABILITY P3, P7 to P9, P12: what the HTTP side is sent, in real connections."""
import re
import resource
import socket
import ssl
import statistics
import subprocess
import time

import pytest

from gateway import Gateway, MUSTERD, allowed_kib, until
from peers import Peers

SDP = "application/sdp"


@pytest.fixture(scope="module")
def g(tmp_path_factory):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    g = Gateway(tmp_path_factory.mktemp("http")).start()
    g.peers = Peers(g, base="127.7")
    yield g
    g.peers.close()
    assert g.stop() == 0, g.log()[-3000:]


@pytest.fixture
def offer(g):
    opened = g.peers.do("open", publish=True, stream=50)
    g.peers.do("leave", id=opened["id"])
    return opened["offer"]


def raw(g, data, timeout=3):
    """@return all that comes until the gateway closes or says no more"""
    got = b""
    with socket.create_connection(("127.0.0.1", g.port), timeout) as s:
        s.sendall(data)
        try:
            while chunk := s.recv(65536):
                got += chunk
        except (TimeoutError, ConnectionResetError):
            pass
    return got


# --- P3 ---

def media(i, more=""):
    return (f"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:{i}\r\na=sendonly\r\na=rtcp-mux\r\n"
            f"a=rtpmap:96 H264/90000\r\n{more}")


BOMBS = {
    "10,000 m-lines": lambda o: o + "".join(media(i) for i in range(10000)),
    "400 m-lines": lambda o: o + "".join(media(i) for i in range(400))[:60000],
    "65 short m-lines": lambda o: o + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n" * 65,
    "20,000 candidates": lambda o: o + "".join(f"a=candidate:{i} 1 udp 1 127.0.0.1 {i} typ host\r\n" for i in range(20000)),
    "1,300 candidates": lambda o: o + "".join(f"a=candidate:{i} 1 udp 1 127.0.0.1 9 typ host\r\n" for i in range(1300)),
    "5,000 RIDs": lambda o: o + "".join(f"a=rid:{i} send\r\n" for i in range(3800)) + "a=simulcast:send " + ";".join(map(str, range(1000))),
    "a fmtp of 256 KiB": lambda o: o + "a=fmtp:96 " + "x" * (256 << 10) + "\r\n",
    "a fmtp of 60,000": lambda o: o + "a=fmtp:96 " + "x" * 60000 + "\r\n",
    "a fmtp of 10,000 parameters": lambda o: o + "a=fmtp:96 " + ";".join(f"a{i}={i}" for i in range(5500)) + "\r\n",
    "RTX of itself": lambda o: o.replace("apt=96", "apt=97"),
    "RTX in a ring": lambda o: o.replace("a=fmtp:97 apt=96", "a=rtpmap:98 rtx/90000\r\na=fmtp:97 apt=98\r\na=fmtp:98 apt=97"),
    "RTX of what is not there": lambda o: o.replace("apt=96", "apt=4294967392"),
    "clock 0": lambda o: o.replace("H264/90000", "H264/0"),
    "clock 2^32": lambda o: o.replace("H264/90000", "H264/4294967296"),
    "negative clock": lambda o: o.replace("H264/90000", "H264/-1"),
    "payload type 2^32": lambda o: o.replace("SAVPF 96", "SAVPF 4294967296 96"),
    "payload type 128": lambda o: o.replace("SAVPF 96", "SAVPF 128 96"),
    "one payload type twice": lambda o: o.replace("SAVPF 96", "SAVPF 96 96"),
    "10,000 payload types": lambda o: o.replace("SAVPF 96", "SAVPF " + "96 " * 10000),
    "a MID of 60,000": lambda o: o.replace("a=mid:1", "a=mid:" + "1" * 60000),
    "one MID twice": lambda o: o.replace("a=mid:1", "a=mid:0"),
    "a group of 5,000": lambda o: o.replace("BUNDLE 0 1", "BUNDLE " + " ".join(map(str, range(5000)))),
    "extension 0": lambda o: o.replace("a=extmap:3", "a=extmap:0"),
    "extension 2^31": lambda o: o.replace("a=extmap:3", "a=extmap:2147483648"),
    "one extension id twice": lambda o: o.replace("a=extmap:3", "a=extmap:4"),
    "2,000 fingerprints": lambda o: o + ("a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n") * 500,
    "SSRC 2^32": lambda o: re.sub(r"a=ssrc:\d+", "a=ssrc:4294967296", o),
    "SSRC of text": lambda o: re.sub(r"a=ssrc:\d+", "a=ssrc:-1", o),
    "a NUL": lambda o: o.replace("a=mid:1", "a=mid:1\0../../x"),
    "no line ends": lambda o: o.replace("\r\n", " "),
    "empty lines": lambda o: o + "\r\n" * 20000,
    "binary": lambda o: "".join(chr(i % 256) for i in range(5000)),
    "nothing": lambda o: "",
    "only v=0": lambda o: "v=0\r\n",
}


@pytest.mark.parametrize("what", BOMBS)
@pytest.mark.parametrize("kind", ["whip", "whep"])
def test_p3_sdp_bombs(g, offer, what, kind):
    """Refused with a reason or answered, within a second of CPU time; memory comes back."""
    rss, cpu = g.rss_kib(), g.cpu_s()
    body = BOMBS[what](offer).encode("latin-1")
    r = g.http("POST", f"/{kind}/bench/s50", body, SDP)
    assert r.status in (201, 400, 404, 406, 409, 413, 422), r
    assert len(body) <= 65536 or r.status == 413, r
    if r.status >= 400:
        assert r.headers["Content-Type"].startswith("application/problem+json") and r.json["detail"], r
        assert len(r.body) < 4096
    else:
        assert len(r.body) < 65536
        assert g.http("DELETE", r.headers["Location"]).status == 200
    assert g.cpu_s() - cpu < 1
    assert g.rss_kib() - rss < allowed_kib(16 << 10)
    assert g.alive()


# --- P8 ---

REQUESTS = {
    "CL and TE": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two lengths in one": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd",
    "a length below 0": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "a length of 2^64": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "a length with a sign": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
    "a chunk of 2^64": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nx",
    "TE twice": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "TE of something": b"POST /whip/bench/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\n",
    "a header of 64 KiB": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 65536 + b"\r\n\r\n",
    "10,000 headers": b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 10000 + b"\r\n",
    "a path of 64 KiB": b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "H2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
    "HTTP/9.9": b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n",
    "a NUL in the path": b"GET /health\0z HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bare CR": b"GET /healthz HTTP/1.1\rHost: a\r\rX: y\r\n\r\n",
}


@pytest.mark.parametrize("what", REQUESTS)
def test_p8_requests_that_could_be_read_in_two_ways(g, what):
    """One answer at most, an error, and what follows in the same connection is not answered as a request of its own."""
    smuggled = b"GET /v1/status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bench\r\n\r\n"
    got = raw(g, REQUESTS[what] + smuggled, timeout=1)
    answers = re.findall(rb"HTTP/1\.[01] (\d+)", got)
    assert len(answers) <= 1, got[:500]
    assert not answers or answers[0][:1] in (b"4", b"5"), got[:500]
    assert b'"version"' not in got, "the request behind it was answered"
    assert g.alive()


def test_p8_json_of_depth_100_000(g):
    for body in (b"[" * 60000, b'{"a":' * 12000, b"[" * 1000 + b"]" * 1000, b'{"jti":"' + b"a" * 60000 + b'"}', b'{"jti":1}', b"null",
                 b'{"jti":"a","jti":"b"}', b"\xff\xfe", b'{"jti":"\\u0000"}', b'{"jti":"' + b"\\ud800" + b'"}'):
        r = g.http("POST", "/v1/tokens/revoke", body, "application/json")
        assert r.status in (400, 413, 422), (body[:40], r)
    assert g.alive()


# --- P9 ---

NAMES = ["..", ".", "%2e%2e", "..%2f..%2fetc%2fpasswd", "../../../etc/passwd", "a%00b", "%00", "a/../b", "a//b", "a%2fb", "CON", "con.txt",
         "a" * 4096, "a" * 65, "%c0%ae%c0%ae", "%e2%80%ae", "\u202eabc", "a b", "a%20b", "a;b", "a?b=c", "a#b", "*", "a*", "<script>", "'\"",
         "%n%n%n", "$(id)", "`id`", "\\..\\..", "a\\b", "-rf", "--", "é", "%ff", "a\tb", "~root", ".hidden", "a:b", "C:"]


@pytest.mark.parametrize("kind", ["whip", "whep"])
def test_p9_hostile_names(g, offer, kind):
    """Refused, or a name of letters, digits, dots and dashes; never decoded to something else, never written anywhere."""
    for name in NAMES:
        for site in ("bench", None):
            path = f"/{kind}/bench/{name}" if site else f"/{kind}/{name}/s50"
            head = (f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bench\r\nContent-Type: {SDP}\r\nConnection: close\r\n"
                    f"Content-Length: {len(offer)}\r\n\r\n").encode("utf-8", "surrogateescape")
            got = raw(g, head + offer.encode())
            status = re.match(rb"HTTP/1\.[01] (\d+)", got)
            assert status, (path[:80], got[:200])
            assert status[1] in (b"400", b"401", b"403", b"404", b"405", b"409", b"413", b"414", b"431", b"505", b"201"), (path[:80], got[:200])
            if status[1] == b"201":  # "a/../b" is "b" (RFC 3986, section 5.2.4): what it became is looked at below
                location = re.search(rb"\r\nLocation: (\S+)", got, re.I)[1].decode()
                assert re.fullmatch(r"/session/[A-Za-z0-9_-]+", location)
                g.http("DELETE", location)
            assert b"root:" not in got
    for e in g.http("GET", "/v1/endpoints").json["endpoints"]:
        assert re.fullmatch(r"[a-z0-9.-]+/[A-Za-z0-9._-]{1,64}", e["id"])


def test_p9_paths_of_files(g):
    for path in ("/console/../../etc/passwd", "/console/..%2f..%2fetc%2fpasswd", "/console/%2e%2e/%2e%2e/etc/passwd", "/../etc/passwd",
                 "//etc/passwd", "/console/app.js%00.html", "/console/", "/console", "/.git/config", "/console/....//etc/passwd"):
        got = raw(g, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert re.match(rb"HTTP/1\.1 (400|404|405|401|301|403)", got), (path, got[:100])
        assert b"root:" not in got and b"Index of" not in got


# --- P7 ---

def posts(g, offer, n=20):
    took = []
    for i in range(n):
        began = time.monotonic()
        r = g.http("POST", f"/whip/bench/p{i}", offer, SDP)
        took.append(time.monotonic() - began)
        assert r.status == 201, r
        g.http("DELETE", r.headers["Location"])
    return statistics.quantiles(took, n=20)[-1]


def dribble(address, port, n, text):
    """n connections from one address, each with a beginning that never ends."""
    made = []
    for _ in range(n):
        s = socket.socket()
        s.bind((address, 0))
        s.settimeout(5)
        s.connect(("127.0.0.1", port))
        s.setblocking(False)
        try:
            s.send(text)
        except BlockingIOError:
            pass
        made.append(s)
    return made


def still_open(made):
    n = 0
    for s in made:
        try:
            n += s.recv(1) != b""
        except BlockingIOError:
            n += 1
        except OSError:
            pass
    return n


# --- P7, TLS: begun here, looked at again after the cases that take their time ---

@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    g = Gateway(folder)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    g.config["http"].update(certificate=f"{folder}/cert.pem", key=f"{folder}/key.pem")
    context = ssl.create_default_context(cafile=f"{folder}/cert.pem")
    context.check_hostname = False

    def answers():
        try:
            with socket.create_connection(("127.0.0.1", g.port), 5) as s, context.wrap_socket(s) as t:
                t.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return t.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    g.answers = answers
    g.start()
    g.slow, g.idle_fds = [], g.fds()
    yield g
    for s in g.slow:
        s.close()
    assert g.stop() == 0


def test_p7_tls_handshakes_that_stop(tls):
    """Half a ClientHello, or a whole record header and nothing more, 600 times: others are served meanwhile."""
    for i in range(20):
        tls.slow += dribble(f"127.8.1.{i + 1}", tls.port, 30, b"\x16\x03\x01\x02\x00\x01" if i % 2 else b"\x16")
    began = time.monotonic()
    assert all(tls.answers() for _ in range(10))
    assert time.monotonic() - began < 2
    # plain HTTP to the TLS port: no answer that would take a token in the clear
    assert not raw(tls, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 1).startswith(b"HTTP/1.1 200")


def test_p7_two_thousand_slow_connections(g, offer):
    """In the header, and in the body, from 40 addresses, a byte now and then: a real POST is quick, descriptors are bounded,
    and after their 10 s the slow ones are gone."""
    before, fds = posts(g, offer), g.fds()
    head = b"POST /whip/bench/slow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bench\r\nContent-Type: application/sdp\r\n"
    slow = []
    began = time.monotonic()
    try:
        for i in range(40):
            text = head + (b"Content-Length: 5000\r\n\r\nv" if i % 2 else b"X-")
            slow += dribble(f"127.8.0.{i + 1}", g.port, 50, text)
        assert time.monotonic() - began < 8
        during = posts(g, offer)
        assert during < 0.5, f"p95 of a POST {during:.2f} s beside {before:.2f} s"
        assert g.fds() - fds <= 2100
        headers = [s for i in range(0, 40, 2) for s in slow[50 * i:50 * i + 50]]
        for s in headers[::10]:
            try:
                s.send(b"a")
            except OSError:
                pass
        until(lambda: still_open(headers) == 0, 14, "end of connections that never finished a header")
        assert posts(g, offer, 5) < 0.5
    finally:
        for s in slow:
            s.close()
    until(lambda: g.fds() - fds <= 4, 10, "descriptors back")


def test_p7_one_address_cannot_have_them_all(g, offer):
    """500 from one address, which is the honest client's own too: the newest waits in its place, the oldest make room."""
    fds = g.fds()
    slow = dribble("127.0.0.1", g.port, 500, b"GET /healthz HTTP/1.1\r\nX-")
    try:
        assert posts(g, offer, 10) < 0.5
        assert g.fds() - fds <= 64 + 8
        assert g.metrics()["muster_http_evictions_total"] > 400
    finally:
        for s in slow:
            s.close()
    until(lambda: g.fds() - fds <= 4, 10, "descriptors back")


def test_four_thousand_idle_connections(g, offer):
    """Opened and never used, by 80 addresses: the cap holds, work goes on, and all is given back."""
    fds, rss = g.fds(), g.rss_kib()
    idle = []
    try:
        for i in range(80):
            idle += dribble(f"127.9.0.{i + 1}", g.port, 50, b"")
        assert posts(g, offer) < 0.5
        assert g.fds() - fds <= 2100
    finally:
        for s in idle:
            s.close()
    until(lambda: g.fds() - fds <= 4, 10, "descriptors back")
    assert g.rss_kib() - rss < allowed_kib(64 << 10)


def test_p7_tls_handshakes_that_stopped_are_gone(tls):
    until(lambda: still_open(tls.slow) == 0, 14, "end of handshakes that never went on")
    until(lambda: tls.fds() - tls.idle_fds <= 4, 5, "descriptors back")


# --- P12 ---

@pytest.mark.parametrize("config, what", [
    ('{"site": "a", "http": {"listen": ["0.0.0.0:0"]}, "auth": {"keys": ["KEY"]}}', "plain HTTP for all"),
    ('{"site": "a", "http": {"listen": ["127.0.0.1:0"]}}', "no keys"),
    ('{"site": "a", "insecure_bench": true, "http": {"listen": ["0.0.0.0:0"]}}', "the bench's token for all"),
    ('{"site": "a", "insecure_bench": true, "media": {"listen": ["0.0.0.0"]}}', "the bench's media for all"),
    ('{"site": "../a", "insecure_bench": true}', "a site that is a path"),
    ('{"site": "a", "insecure_bench": true, "nonsense": 1}', "an unknown key"),
])
def test_p12_what_is_not_safe_does_not_start(tmp_path, config, what):
    from gateway import Signer
    key = Signer(str(tmp_path)).public if "KEY" in config else ""
    file = tmp_path / "musterd.yaml"
    file.write_text(config.replace("KEY", key))
    done = subprocess.run([MUSTERD, "--config", str(file)], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1, f"{what}: it started"
    assert str(file) in done.stderr, "the complaint names no file"
