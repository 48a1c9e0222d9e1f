"""RELIABILITY S9 (RFC 7675): who stops answering is sent nothing more after 30 s; who only falls silent stays.

The sessions are made before all other cases and looked at after them (conftest.py), so that waiting costs nothing."""
import re
import time

from gateway import Gateway, until
from peers import Peers

LIMIT_S, SLACK_S = 30, 2  # the gateway looks once a second
NO_STUN = ["stun"]


class Silent:
    def __init__(self, folder):
        self.gateway = Gateway(folder, workers=2).start()
        self.peers = Peers(self.gateway, base="127.10", bitrate=200000)
        p = self.peers
        self.source = p.publish(1)
        self.good = p.watch(1)
        self.no_checks = p.watch(1)    # goes on with RTCP, and so shows that it is alive: that is no consent
        self.only_checks = p.watch(1)  # the reverse
        self.gone = p.publish(2)       # no checks, and media all the same
        self.gone_viewer = p.watch(2)
        self.quiet = p.publish(3)      # checks, and no media
        for s in (self.no_checks, self.gone, self.gone_viewer, self.only_checks, self.quiet):
            s.do("stay")
        self.no_checks.do("mute", kinds=NO_STUN)
        self.gone.do("mute", kinds=NO_STUN)
        self.only_checks.do("mute", kinds=["rtcp", "rtp"])
        self.quiet.do("mute", kinds=["rtcp", "rtp"])
        self.began = time.monotonic()
        self.muted_ms = {s: s.state()["since_ms"] for s in (self.no_checks, self.gone_viewer, self.only_checks)}

    def wait(self):
        time.sleep(max(0, LIMIT_S + SLACK_S + 1 - (time.monotonic() - self.began)))

    def close(self):
        self.peers.close()
        assert self.gateway.stop() == 0


def media_for(silent, session):
    """Seconds of media after the others had fallen silent."""
    return (session.state()["last_rtp_ms"] - silent.muted_ms[session]) / 1000


def test_s9_a_viewer_that_stops_answering_checks(consent):
    consent.wait()
    seconds = media_for(consent, consent.no_checks)
    assert LIMIT_S - 6 < seconds < LIMIT_S + SLACK_S, f"media went on for {seconds:.1f} s"
    assert consent.no_checks.delete().status == 200  # for 10 s more an ICE restart would bring it back


def test_s9_a_publisher_that_stops_answering_checks(consent):
    """Media from it is no consent either: its session ends, its viewers get no more, its endpoint is held and then idle."""
    consent.wait()
    seconds = media_for(consent, consent.gone_viewer)
    assert seconds < LIMIT_S + SLACK_S, f"media went on for {seconds:.1f} s"
    assert consent.gateway.http("GET", "/v1/endpoints/bench/s2").json["state"] in ("lost", "idle")


def test_s9_a_viewer_that_only_answers_checks(consent):
    consent.wait()
    assert media_for(consent, consent.only_checks) > LIMIT_S
    assert media_for(consent, consent.only_checks) > (time.monotonic() - consent.began) - 2
    assert consent.only_checks.delete().status == 200


def test_s9_a_publisher_that_only_answers_checks(consent):
    """Silent is not gone: a muted camera keeps its session."""
    consent.wait()
    r = consent.gateway.http("GET", "/v1/sessions").json["sessions"]
    assert any(s["id"] == consent.quiet.location.rsplit("/", 1)[1] for s in r)
    assert consent.gateway.http("GET", "/v1/endpoints/bench/s3").json["state"] == "live"


def test_s9_the_log_says_so_once(consent):
    consent.wait()
    assert 2 <= len(re.findall("no consent", consent.gateway.log())) <= 4
    assert consent.good.state()["state"] == "ready"


def restart(session, ufrag="newufrag", pwd="n" * 24):
    """ICE restart over HTTP (RFC 9725, section 4.3.3). @return the gateway's new credentials"""
    fragment = f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    r = session.peers.gateway.http("PATCH", session.location, fragment, "application/trickle-ice-sdpfrag", headers={"If-Match": "*"})
    assert r.status == 200, r
    return re.search(r"a=ice-ufrag:(\S+)", r.text)[1], re.search(r"a=ice-pwd:(\S+)", r.text)[1]


def test_s9_an_ice_restart_brings_a_lost_viewer_back(consent):
    """Another network: nothing of the old path works any more; a restart, checks and reports from elsewhere, and media goes there."""
    viewer = consent.peers.watch(1)
    n = viewer.state()["in"]["rtp"]
    viewer.do("mute", kinds=["stun", "rtcp"])
    ufrag, pwd = restart(viewer)
    viewer.do("move")
    viewer.do("credentials", ufrag=ufrag, pwd=pwd)
    time.sleep(0.2)
    viewer.do("mute", kinds=[])
    until(lambda: viewer.state()["in"]["rtp"] > n + 50, 8, "media at the new address")
    viewer.end()
