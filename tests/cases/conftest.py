"""What the cases share. A gateway with a well-behaved publisher and two viewers, made once for a file and number of workers,
and looked at after every case: still there, nothing left behind, no secret and no flood in the log."""
import re
import time

import pytest

from gateway import Gateway, allowed_kib
from peers import Peers, expect_whole

SLOW = "test_consent.py"  # half a minute of waiting: begun first, asked last
LOG_LINES_MAX = 60  # of one case, at level info


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name == SLOW)


@pytest.fixture(scope="session", autouse=True)
def consent(request, tmp_path_factory):
    """The sessions of test_consent.py, which are silent while other cases run."""
    if not any(item.path.name == SLOW for item in request.session.items):
        yield None
        return
    from test_consent import Silent
    s = Silent(tmp_path_factory.mktemp("consent"))
    yield s
    s.close()


@pytest.fixture
def gateway(tmp_path):
    """One for this case only: gateway(workers=2, ...) makes and starts it."""
    made = []

    def make(start=True, **options):
        folder = tmp_path / f"gateway{len(made)}"
        folder.mkdir()
        made.append(Gateway(folder, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for g in made:
        g.stop()


@pytest.fixture
def peers():
    made = []

    def make(gateway, **options):
        made.append(Peers(gateway, **options))
        return made[-1]

    yield make
    for p in made:
        p.close()


class House:
    """A gateway, and beside whatever a case does: publisher s0 with two viewers, who must not notice."""

    def __init__(self, folder, workers, **options):
        self.workers = workers
        self.gateway = Gateway(folder, workers=workers, **options).start()
        self.pair = Peers(self.gateway, base="127.1")
        self.publisher = self.pair.publish(0)
        self.viewers = [self.pair.watch(0), self.pair.watch(0)]
        self.secrets = [s.pwd for s in (self.publisher, *self.viewers)]
        self.own = {s.location.rsplit("/", 1)[1] for s in (self.publisher, *self.viewers)}
        self.evil = self.evil_cm = self.callers = None

    def begin(self):
        """A hostile process for one case."""
        self.evil = Peers(self.gateway, base="127.2", nack=False)
        self.callers = Peers(self.gateway, base="127.4")  # honest ones that come and go meanwhile

    def cm(self):
        """A second hostile process, with the profile whose packets grow less."""
        self.evil_cm = self.evil_cm or Peers(self.gateway, base="127.3", profile="cm", nack=False)
        return self.evil_cm

    def end(self):
        for p in (self.evil, self.evil_cm, self.callers):
            if p:
                p.close()
        self.evil = self.evil_cm = self.callers = None
        if self.gateway.process.poll() is None:
            for s in self.gateway.http("GET", "/v1/sessions").json["sessions"]:
                if s["id"] not in self.own:  # a case that failed has left it
                    self.gateway.http("DELETE", "/v1/sessions/" + s["id"])

    def close(self):
        self.pair.close()
        return self.gateway.stop()


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def module_house(request, tmp_path_factory):
    options = getattr(request.module, "OPTIONS", {})
    h = House(tmp_path_factory.mktemp("house"), request.param, **options)
    yield h
    assert h.close() == 0, h.gateway.log()[-3000:]


@pytest.fixture
def house(module_house):
    """Before and after a case: figures that must not grow, counters to compare with."""
    h = module_house
    g = h.gateway
    assert h.gateway.process.poll() is None, "musterd ended in an earlier case"
    h.before, log_at, rss, fds, threads = g.metrics(), len(g.log()), g.rss_kib(), g.fds(), g.threads()
    h.begin()
    try:
        yield h
    finally:
        h.end()
    assert g.alive(), g.log()[-3000:]
    time.sleep(0.1)
    assert g.rss_kib() - rss < allowed_kib(16 << 10), f"memory grew from {rss} to {g.rss_kib()} KiB"
    assert g.fds() - fds <= 4, "descriptors were left behind"
    assert g.threads() == threads
    lines = g.log()[log_at:].splitlines()
    assert len(lines) <= LOG_LINES_MAX, f"{len(lines)} log lines, the first of them:\n" + "\n".join(lines[:20])
    no_secrets(g.log(), h.secrets)


def no_secrets(log, secrets):
    """RELIABILITY C3, I9: passwords, tokens and key lines are in no log."""
    for s in secrets:
        assert s not in log
    assert not re.search(r"a=ice-pwd|a=crypto|Bearer [\w-]|eyJ[\w-]{20,}\.", log)


@pytest.fixture
def beside(house):
    """with beside(): whatever happens inside, the pair loses nothing."""

    class Beside:
        def __enter__(self):
            self.w = house.pair.window()
            return self.w.__enter__()

        def __exit__(self, kind, *rest):
            self.w.__exit__(kind, *rest)
            if kind is None:
                expect_whole(self.w, viewers=2)

    return Beside


@pytest.fixture
def moved(house):
    """moved("bad_auth"): by how much a counter of /metrics moved in this case."""

    def by(name):
        now = house.gateway.metrics()
        key = name if name in now else f"muster_{name}"
        return now[key] - house.before.get(key, 0)

    return by
