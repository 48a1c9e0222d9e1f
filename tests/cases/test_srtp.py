"""RELIABILITY S1, S4, S5, S7, S15: what comes to the media port, and what of it may have an effect."""
import random
import struct
import time

import pytest

SECONDS = 1


def test_s1_a_stranger_sprays_rtp(house, beside, moved):
    ssrc = next(iter(house.publisher.state()["sent"].values()))["ssrc"]
    stranger = house.evil.stranger(house.publisher.port)
    with beside():
        stranger.do("spray", kind="rtp", n=2000, rate=2000, ssrc=ssrc)
        stranger.do("spray", kind="rtp", n=1000, rate=1000, addresses=1000)
    assert moved("unknown_address") == 3000
    assert sum(stranger.state()["in"].values()) == 0, "a stranger was answered"
    stranger.leave()


@pytest.mark.parametrize("rate", [2000, 20000])
def test_s4_forged_tags_of_the_running_stream(house, beside, moved, rate):
    """RELIABILITY G8: 20,000 a second at one port; S4: a line for 10 s of them, and the stream goes on."""
    n = int(rate * SECONDS)
    for attempt in range(3):  # the machine's own pauses are none of the gateway's
        with house.pair.window() as quiet:
            time.sleep(0.5)
        with beside() as w:
            house.publisher.do("forge", n=n, rate=rate)
        late = w.latency_ms["p99"] - quiet.latency_ms["p99"]
        if late < 20:
            break
    assert late < 20, f"p99 of the delay grew by {late:.0f} ms"
    assert moved("bad_auth") >= 0.999 * n * (attempt + 1)  # what the kernel dropped is counted elsewhere
    assert house.gateway.log().count("authentication failed") <= 3


def test_s5_replay_at_once_and_later(house, beside, moved):
    house.publisher.do("keep")
    with beside() as w:
        time.sleep(1)
        n = house.publisher.do("replay", n=200, rate=2000)["n"]
        time.sleep(1)
        n += house.publisher.do("replay", n=400, rate=4000)["n"]
    assert n > 300
    assert moved("replayed") >= n
    assert w.duplicates == 0 and w.replayed == 0


def test_s7_scraps_from_the_publishers_own_address(house, beside, moved):
    """Lengths 0 to 60, SRTCP with E = 0, trailers cut: refused, and nothing else."""
    with beside():
        house.publisher.do("scraps", n=6000, rate=4000)
    assert moved("bad_auth") + moved("malformed") > 1000


def test_s7_oversized_datagrams(house, beside):
    rtp = b"\x80\x60" + bytes(1590)
    with beside():
        for length in (1500, 1501, 1514, 1592):
            house.publisher.do("raw", hex=rtp[:length].hex(), n=50, rate=1000)
            house.publisher.do("raw", hex=(b"\x80\xc8" + rtp[2:length]).hex(), n=50, rate=1000)


def rtp(seq=0, pt=96, ssrc=0, first=0x80, extension=b"", payload=b"\x7c\x41hostile"):
    return struct.pack(">BBHII", first, pt, seq, 1, ssrc) + extension + payload


def header_length(packet):
    """Of RTP as sealing takes it: with all of an extension that is there whole."""
    at = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10 and len(packet) >= at + 4:
        at += 4 + 4 * struct.unpack(">H", packet[at + 2:at + 4])[0]
    return at if at <= len(packet) else 12


def hostile_rtp(ssrc):
    yield rtp(ssrc=ssrc, first=0xA0, payload=b"\x7c\x41" + b"\xff")  # padding longer than the payload
    yield rtp(ssrc=ssrc, first=0xA0, payload=b"\x00" * 20)  # padding of 0
    yield rtp(ssrc=ssrc, first=0xA0, payload=b"")
    yield rtp(ssrc=ssrc, payload=b"")
    yield rtp(ssrc=ssrc, first=0x8F, payload=b"\x01" * 8)  # more CSRCs than bytes
    yield rtp(ssrc=ssrc, first=0x8F, payload=b"\x01" * 64)
    yield rtp(ssrc=ssrc, first=0x90, extension=b"\xbe\xde\xff\xff")  # an extension past the end
    yield rtp(ssrc=ssrc, first=0x90, extension=b"\xbe\xde\x00\x01\xff\xff\xff\xff")
    yield rtp(ssrc=ssrc, first=0x90, extension=b"\x10\x00\x00\x02\x01\xff\x00\x00\x00\x00\x00\x00")
    yield rtp(ssrc=ssrc, first=0x90, extension=b"\xbe\xde\x00\x02\x3f" + b"../../x")  # a MID of nobody's
    yield rtp(ssrc=ssrc, pt=97, payload=b"")
    yield rtp(ssrc=ssrc, pt=13)
    for nal in (0x78, 0x7C, 0x19, 0x1A, 0x1C, 0x00, 0x7F):  # STAP, FU, and what nobody uses, all cut short
        for tail in (b"", b"\x80", b"\xff\xff", b"\x00\x00\x00"):
            yield rtp(ssrc=ssrc, payload=bytes([nal]) + tail)


def test_s15_hostile_rtp_under_good_keys(house, beside, moved):
    """The session lives, its viewer gets nothing malformed, the pair beside notices nothing."""
    bad = house.evil.publish(7)
    viewer = house.evil.watch(7)
    ssrc = bad.state()["sent"]["96"]["ssrc"]
    r = random.Random(15)
    with beside():
        bad.do("mute", kinds=["rtp"])  # the honest stream of this publisher would use the same numbers
        time.sleep(0.1)
        at = bad.state()["sent"]["96"]["seq"] + 1
        for i, packet in enumerate(hostile_rtp(ssrc)):
            bad.do("rtp", hex=packet.hex(), hlen=header_length(packet), index=at + i)
        for i in range(300):
            packet = rtp(ssrc=ssrc, first=0x80 | r.choice((0, 0x10, 0x20, 0x30)) | r.randrange(3),
                         extension=r.randbytes(r.randrange(0, 40)), payload=r.randbytes(r.randrange(0, 60)))
            bad.do("rtp", hex=packet.hex(), hlen=header_length(packet), index=at + 100 + i)
    assert bad.state()["state"] == "ready" and viewer.state()["state"] == "ready"
    assert moved("bad_auth") == 0, "they were meant to get past the tag"
    assert moved("malformed") > 10
    assert house.gateway.http("GET", f"/v1/endpoints/bench/s7").json["state"] == "live"
    bad.end()
    viewer.end()


def compound(*packets):
    return b"".join(packets)


def header(count, kind, words):
    return struct.pack(">BBH", 0x80 | count, kind, words)


def video(viewer):
    """SSRC of what a viewer gets most packets of."""
    return max(viewer.state()["received"].values(), key=lambda s: s["n"])["ssrc"]


def rtcp_bombs(mine, theirs):
    """(name, compound packet)"""
    rr = header(0, 201, 1) + struct.pack(">I", mine)
    block = struct.pack(">IIIIII", theirs, 0xFF7FFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 1, 0xFFFFFFFF)
    yield "31 blocks", header(31, 201, 1 + 6 * 31) + struct.pack(">I", mine) + block * 31
    yield "blocks that are not there", header(31, 201, 1) + struct.pack(">I", mine)
    yield "length past the end", header(1, 201, 0xFFFF) + struct.pack(">I", mine) + block
    yield "length 0, many times", header(0, 201, 0) * 280
    yield "RR many times", rr * 140
    yield "NACK of 65,000 numbers", rr + header(1, 205, 2 + 280) + struct.pack(">II", mine, theirs) + b"".join(
        struct.pack(">HH", 17 * i & 0xFFFF, 0xFFFF) for i in range(280))
    yield "NACK without numbers", rr + header(1, 205, 2) + struct.pack(">II", mine, theirs)
    yield "PLI 90 times", rr + (header(1, 206, 2) + struct.pack(">II", mine, theirs)) * 90
    yield "FIR 60 times", rr + b"".join(
        header(4, 206, 4) + struct.pack(">IIIBxxx", mine, 0, theirs, i) for i in range(60))
    yield "REMB 0", rr + header(15, 206, 5) + struct.pack(">II4sII", mine, 0, b"REMB", 1 << 24, theirs)
    yield "REMB cut", rr + header(15, 206, 3) + struct.pack(">II4s", mine, 0, b"REMB")
    yield "SDES without end", rr + header(31, 202, 2) + struct.pack(">I", mine) + b"\x01\xff\x41\x41"
    yield "SDES of nothing", rr + header(0, 202, 0)
    yield "BYE of 31", rr + header(31, 203, 31) + struct.pack(">I", theirs) * 31
    yield "BYE with a reason too long", rr + header(1, 203, 2) + struct.pack(">I", theirs) + b"\xffabc"
    yield "APP", rr + header(31, 204, 200) + struct.pack(">I4s", mine, b"boom") + bytes(792)
    yield "XR", rr + header(0, 207, 100) + struct.pack(">I", mine) + b"\x04\xff\xff\xff" * 99
    yield "TWCC that counts 65,535", rr + header(15, 205, 5) + struct.pack(">IIHHI", mine, theirs, 0, 0xFFFF, 0) + b"\x7f\xff\x00\x00"
    yield "padding longer than all", header(0, 201, 1) + struct.pack(">I", mine) + b"\xa0\xc9\x00\x01\xff\xff\xff\xff"
    yield "version 1", b"\x40\xc9\x00\x01" + struct.pack(">I", mine)


def test_s15_rtcp_bombs_under_good_keys(house, beside):
    viewer = house.evil.watch(0)
    publisher = house.evil.publish(8)
    theirs = video(viewer)
    with beside():
        for session, ssrc in ((viewer, theirs), (publisher, publisher.state()["sent"]["96"]["ssrc"])):
            for _, packet in rtcp_bombs(0x12345678, ssrc):
                session.do("rtcp", hex=packet.hex(), n=20, rate=2000)
    assert viewer.state()["state"] == "ready" and publisher.state()["state"] == "ready"
    viewer.end()
    publisher.end()


def test_oversized_packets_that_grow_when_sealed_again(house, beside):
    """AES-CM adds 10 bytes, GCM 16, a new header some more: what comes in at 1500 does not fit on the way out."""
    bad = house.cm().publish(9)
    viewer = house.evil.watch(9)
    ssrc = bad.state()["sent"]["96"]["ssrc"]
    with beside():
        bad.do("mute", kinds=["rtp"])
        time.sleep(0.1)
        at = bad.state()["sent"]["96"]["seq"] + 100
        for i, size in enumerate([1400, 1440, 1460, 1470, *range(1476, 1492)]):  # 1490 + 10: a datagram of 1500
            packet = rtp(ssrc=ssrc, payload=b"\x7c\x41" + bytes(size - 14))
            for k in range(3):
                bad.do("rtp", hex=packet.hex(), hlen=12, index=at + 3 * i + k)
        # the same with a header that is 40 bytes longer when the viewer's ids need the two-byte form or not at all
        for i, size in enumerate(range(1480, 1491)):
            ext = struct.pack(">HH", 0xBEDE, 4) + b"\x3f" + bytes(15)
            packet = rtp(ssrc=ssrc, first=0x90, extension=ext, payload=b"\x7c\x41" + bytes(size - 34))
            bad.do("rtp", hex=packet.hex(), hlen=32, index=at + 200 + i)
    assert bad.state()["state"] == "ready" and viewer.state()["state"] == "ready"
    bad.end()
    viewer.end()


def test_a_full_send_batch_of_packets_that_grow(house, beside):
    """Fifteen viewers whose packets just fit and one whose packets do not: the sixteenth message of a batch is the one too long."""
    if house.workers > 1:
        pytest.skip("all viewers have to be on one worker")
    bad = house.cm().publish(10)
    viewers = [house.evil_cm.watch(10) for _ in range(15)] + [house.evil.watch(10)]
    ssrc = bad.state()["sent"]["96"]["ssrc"]
    with beside():
        bad.do("mute", kinds=["rtp"])
        time.sleep(0.1)
        at = bad.state()["sent"]["96"]["seq"] + 1
        for size in (1488, 1489, 1490):
            packet = rtp(ssrc=ssrc, payload=b"\x7c\x41" + bytes(size - 14))
            bad.do("rtp", hex=packet.hex(), hlen=12, index=at, n=800, rate=40000)
            at += 800
            time.sleep(0.2)
    assert all(v.state()["state"] == "ready" for v in viewers)
    for session in (*viewers, bad):
        session.end()
