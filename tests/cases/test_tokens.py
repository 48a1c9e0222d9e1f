"""RELIABILITY S17: who may do what, over real HTTP, and what becomes of media when that changes."""
import hashlib
import hmac
import json
import os
import time

import pytest

from conftest import no_secrets
from gateway import Gateway, Signer, b64, jti_of, until
from peers import Peers

SDP = "application/sdp"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyed")
    g = Gateway(folder, bench=False, state=folder / "state").start()
    g.stranger = Signer(str(folder), "stranger")
    g.peers = Peers(g, base="127.6")
    g.live = g.peers.publish(1, token=g.key.token("publish"))
    yield g
    no_secrets(g.log(), [g.live.pwd, g.token])
    with open(folder / "state" / "audit.jsonl", errors="replace") as f:
        no_secrets(f.read(), [g.live.pwd, g.token])
    g.peers.close()
    assert g.stop() == 0


def hs256(key, secret, **claims):
    """Signed with the public key as a shared secret: what a verifier believes that goes by the header's word."""
    now = int(time.time())
    text = b64({"alg": "HS256", "typ": "JWT", "kid": key.kid}) + "." + b64(
        {"jti": "x", "sub": "x", "scope": "admin", "iat": now, "exp": now + 600, **claims})
    return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def unsigned(key, alg):
    now = int(time.time())
    text = b64({"alg": alg, "typ": "JWT", "kid": key.kid}) + "." + b64(
        {"jti": "x", "sub": "x", "scope": "admin", "iat": now, "exp": now + 600})
    return text + "."


def twice(key):
    """Two scopes in one token: two readers might see different ones."""
    now = int(time.time())
    body = f'{{"jti":"x","sub":"x","scope":"watch","scope":"admin","iat":{now},"exp":{now + 600}}}'
    text = b64({"alg": "EdDSA", "typ": "JWT", "kid": key.kid}) + "." + b64(body.encode())
    return text + "." + key.sign_text(text)


NO_TOKENS = {
    "none at all": lambda g: None,
    "empty": lambda g: "",
    "the bench's": lambda g: "bench",
    "no JWT": lambda g: "a.b.c",
    "alg none": lambda g: unsigned(g.key, "none"),
    "alg None": lambda g: unsigned(g.key, "None"),
    "EdDSA without signature": lambda g: unsigned(g.key, "EdDSA"),
    "HS256 with the public key's PEM": lambda g: hs256(g.key, open(g.key.public, "rb").read()),
    "HS256 with an empty secret": lambda g: hs256(g.key, b""),
    "ES256 that is Ed25519": lambda g: g.key.token("admin", header={"alg": "ES256"}),
    "another's key": lambda g: g.stranger.token("admin"),
    "another's key under our id": lambda g: g.stranger.token("admin", header={"kid": g.key.kid}),
    "a key of its own in the header": lambda g: g.stranger.token("admin", header={"jwk": {"kty": "OKP", "crv": "Ed25519",
                                                                                         "x": "A" * 43}}),
    "a file as key id": lambda g: g.key.token("admin", header={"kid": "../../../../dev/null"}),
    "a critical header": lambda g: g.key.token("admin", header={"crit": ["b64"], "b64": False}),
    "expired": lambda g: g.key.token("admin", iat=int(time.time()) - 7200, exp=int(time.time()) - 3600),
    "not yet valid": lambda g: g.key.token("admin", nbf=int(time.time()) + 3600),
    "without end": lambda g: g.key.token("admin", exp=None),
    "an end that is text": lambda g: g.key.token("admin", exp="never"),
    "without id": lambda g: g.key.token("admin", jti=None),
    "without subject": lambda g: g.key.token("admin", sub=None),
    "without scope": lambda g: g.key.token(None),
    "an unknown scope": lambda g: g.key.token("root"),
    "for somebody else": lambda g: g.key.token("admin", aud="other"),
    "scope twice": lambda g: twice(g.key),
    "signature changed": lambda g: g.key.token("admin")[:-4] + "AAAA",
    "claims changed": lambda g: (lambda t: t[0] + "." + b64({"jti": "x", "sub": "x", "scope": "admin", "exp": 1 << 40}) + "." + t[2])(
        g.key.token("watch").split(".")),
    "a megabyte": lambda g: "e" * 30000,
}


@pytest.mark.parametrize("what", NO_TOKENS)
def test_what_is_no_token(keyed, what):
    token = NO_TOKENS[what](keyed)
    for method, path, body, type in (("POST", "/whip/city/x", "v=0\r\n", SDP), ("POST", "/whep/city/s1", "v=0\r\n", SDP),
                                     ("GET", "/v1/status", None, None), ("GET", "/v1/audit", None, None)):
        r = keyed.http(method, path, body, type, token=token)
        assert r.status in ((401, 431) if what == "a megabyte" else (401,)), (path, r)
        if r.status == 401:
            assert "Bearer" in r.headers["WWW-Authenticate"]
    no_secrets(keyed.log(), [token] if token and len(token) > 8 else [])


# path, method, body, type -> scopes that may; 403 for the others
MATRIX = [
    ("POST", "/whip/city/m", "no sdp", SDP, {"publish"}),
    ("POST", "/whep/city/s1", "no sdp", SDP, {"watch"}),
    ("GET", "/v1/status", None, None, {"operate"}),
    ("GET", "/v1/endpoints", None, None, {"watch", "operate"}),
    ("GET", "/v1/sessions", None, None, {"operate"}),
    ("DELETE", "/v1/sessions/none", None, None, {"operate"}),
    ("POST", "/v1/tokens/revoke", "{}", "application/json", set()),
    ("GET", "/v1/tokens/revoked", None, None, set()),
    ("GET", "/v1/audit", None, None, set()),
    ("GET", "/metrics", None, None, {"operate"}),
]


@pytest.mark.parametrize("scope", ["publish", "watch", "conference", "operate", "admin"])
def test_scopes(keyed, scope):
    token = keyed.key.token(scope)
    for method, path, body, type, may in MATRIX:
        r = keyed.http(method, path, body, type, token=token)
        if scope in may or scope == "admin":
            assert r.status not in (401, 403), (path, r)
        else:
            assert r.status == 403, (path, r)


def test_a_token_for_one_endpoint(keyed):
    """Its own, no other; prefixes; and no page that tells of others."""
    publish = keyed.key.token("publish watch operate", endpoint="city/s1")
    assert keyed.http("POST", "/whep/city/s1", "no sdp", SDP, token=publish).status == 400
    assert keyed.http("POST", "/whep/city/s2", "no sdp", SDP, token=publish).status == 403
    assert keyed.http("POST", "/whip/city/s10", "no sdp", SDP, token=publish).status == 403
    assert keyed.http("POST", "/whip/city.s1/s1", "no sdp", SDP, token=publish).status in (403, 404)
    seen = keyed.http("GET", "/v1/endpoints", token=keyed.key.token("watch", endpoint="city/none")).json
    assert "s1" not in json.dumps(seen)
    prefix = keyed.key.token("publish", endpoint="city/cam-*")
    assert keyed.http("POST", "/whip/city/cam-7", "no sdp", SDP, token=prefix).status == 400
    assert keyed.http("POST", "/whip/city/car-7", "no sdp", SDP, token=prefix).status == 403
    admin = keyed.key.token("admin", endpoint="city/s1")
    for path in ("/v1/audit", "/v1/tokens/revoked"):
        assert keyed.http("GET", path, token=admin).status == 403, "bound to one endpoint, and yet to see all"


def test_a_session_is_its_makers(keyed):
    """Another token of the same scopes may neither change nor end it; the id does not have to be guessed for that."""
    other = keyed.key.token("publish watch")
    fragment = f"a=ice-ufrag:{keyed.live.ufrag}\r\na=ice-pwd:{'x' * 24}\r\n"
    assert keyed.http("DELETE", keyed.live.location, token=other).status == 403
    assert keyed.http("DELETE", keyed.live.location, token=None).status == 401
    assert keyed.http("PATCH", keyed.live.location, fragment, "application/trickle-ice-sdpfrag", token=other).status == 403
    assert keyed.live.state()["state"] == "ready"


def stops_within(session, seconds, what):
    """@return when the last packet came, after this call"""
    began = last = time.monotonic()
    n = session.state()["in"]["rtp"]
    while time.monotonic() - last < 0.5:
        time.sleep(0.05)
        now = session.state()["in"]["rtp"]
        if now != n:
            n, last = now, time.monotonic()
        assert last - began <= seconds, f"media went on for {last - began:.1f} s after {what}"


def test_revocation_ends_running_media(keyed):
    token = keyed.key.token("watch")
    viewer = keyed.peers.watch(1, token=token)
    bystander = keyed.peers.watch(1, token=keyed.key.token("watch"))
    r = keyed.http("POST", "/v1/tokens/revoke", json.dumps({"jti": jti_of(token)}), "application/json")
    assert r.status == 200 and r.json["sessions_ended"] == 1, r
    stops_within(viewer, 2, "its revocation")
    assert keyed.http("POST", "/whep/city/s1", viewer.offer, SDP, token=token).status == 401
    n = bystander.state()["in"]["rtp"]
    until(lambda: bystander.state()["in"]["rtp"] > n + 20, 5, "media of a token that was not revoked")
    viewer.leave()
    bystander.end()


def test_revocation_of_a_publisher_ends_what_viewers_get(keyed):
    token = keyed.key.token("publish")
    publisher = keyed.peers.publish(2, token=token)
    viewer = keyed.peers.watch(2, token=keyed.key.token("watch"))
    viewer.do("stay")
    assert keyed.http("POST", "/v1/tokens/revoke", json.dumps({"jti": jti_of(token)}), "application/json").status == 200
    publisher.do("stay")  # it does not care, and goes on sending
    stops_within(viewer, 2, "its publisher's revocation")
    publisher.leave()
    viewer.end()


def test_expiry_ends_running_media(keyed):
    end = int(time.time()) + 3
    viewer = keyed.peers.watch(1, token=keyed.key.token("watch", exp=end))
    until(lambda: time.time() > end, 5, "the token's end")
    stops_within(viewer, 2, "its end")
    viewer.leave()


def test_revocations_outlive_a_restart(gateway, peers):
    g = gateway(start=False, bench=False)
    g.config["state"] = os.path.join(g.folder, "state")
    g.start()
    token = g.key.token("watch")
    assert g.http("POST", "/v1/tokens/revoke", json.dumps({"jti": jti_of(token)}), "application/json").status == 200
    g.kill()
    g.start()
    assert g.http("GET", "/v1/endpoints", token=token).status == 401
    assert g.http("GET", "/v1/endpoints").status == 200
    audit = g.http("GET", "/v1/audit").json
    assert audit["verified"] and any(e["what"].startswith("token") for e in audit["entries"]), audit
