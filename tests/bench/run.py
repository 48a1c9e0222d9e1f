#!/usr/bin/python3
"""Measure musterd beside a bare forwarder (mu-forward) and beside Debian's Janus, in one run, and print ratios.

All servers get the same generator (mu-load), the same pacing, the same readers and the same core; they take turns, so that
a busy minute of the machine falls on all of them alike, and medians are compared. Absolute figures say little: ratios count.

It runs in a network namespace of its own (unshare -n, so as root or where user namespaces are allowed): nobody else's
packets, no ports taken, and an interface for Janus, whose ICE library leaves the loopback interface out.

  tests/bench/run.py                 everything, some 20 minutes
  tests/bench/run.py --short         about two minutes: does it all run?
  tests/bench/run.py --conference    the conference alone
  tests/bench/run.py --must          and exit 1 if something that must be reached is not
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JANUS_ADDRESS, JANUS_BASE, JANUS_PORT = "198.18.255.1", "198.18", 9788
TILE_BITRATE = 500000  # of the encoding that fits a tile of mu-load's (load_up.c)
JANUS_LIB = "/usr/lib/x86_64-linux-gnu/janus"
CONTROL_PORT = 9701

JANUS_CONF = {
    "janus.jcfg": """
general: {{
	configs_folder = "{dir}/conf"
	plugins_folder = "{dir}/plugins"
	transports_folder = "{dir}/transports"
	events_folder = "{dir}/none"
	loggers_folder = "{dir}/none"
	debug_level = 1
	session_timeout = 0
}}
media: {{ rtp_port_range = "20000-60000" }}
nat: {{
	ice_lite = true
	ice_enforce_list = "mubench"
}}
""",
    "janus.transport.http.jcfg": """
general: {{
	json = "compact"
	base_path = "/janus"
	http = true
	port = {port}
	ip = "127.0.0.1"
	https = false
}}
admin: {{ admin_http = false }}
""",
    "janus.plugin.videoroom.jcfg": """
general: {{ }}
room-1: {{
	description = "bench"
	publishers = 100
	bitrate = 0
	fir_freq = 0
	audiocodec = "opus"
	videocodec = "h264"
	notify_joining = false
}}
""",
}


def enter_namespace():
    """Start again in a network namespace of our own; come back in it with its interfaces up."""
    if os.environ.get("MU_BENCH_NAMESPACE") != "1":
        os.environ["MU_BENCH_NAMESPACE"] = "1"
        how = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
        os.execvp("unshare", how + [sys.executable] + sys.argv)
    for line in ("link set lo up", "link add mubench type veth peer name mubench1", "link set mubench1 up",
                 f"addr add {JANUS_ADDRESS}/32 dev mubench", "link set mubench up",
                 # a socket that is tied to this interface reaches the peers' addresses only by a route on it
                 f"route add local {JANUS_BASE}.0.0/16 dev mubench"):
        if subprocess.call(["ip"] + line.split(), stderr=subprocess.DEVNULL):
            print(f"run.py: ip {line} failed", file=sys.stderr)


class Server:
    """A server process on its cores; generator arguments that reach it."""

    def __init__(self, opts, name, command, port, args, cores, log):
        self.name, self.args, self.log_path = name, args, log
        self.log = open(log, "w")
        pin = ["taskset", "-c", cores] if not opts.no_pin else []
        self.process = subprocess.Popen(pin + command, stdout=self.log, stderr=self.log)
        deadline = time.time() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if time.time() > deadline or self.process.poll() is not None:
                    self.stop()
                    raise SystemExit(f"run.py: {name} does not start; its output is:\n{open(log).read()}")
                time.sleep(0.05)
        time.sleep(0.5)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def errors(self):
        return [line.rstrip() for line in open(self.log_path) if re.search(r"\berror\b", line)]


class Bench:
    def __init__(self, opts, tmp):
        self.o, self.tmp, self.results, self.core = opts, tmp, {}, []
        self.bin = os.path.join(opts.build, "tests/bench")
        self.n = 0

    def log(self):
        self.n += 1
        return os.path.join(self.tmp, f"log{self.n}")

    def yardstick(self, profile, cores):
        return Server(self.o, "yardstick", [f"{self.bin}/mu-forward", "--control", str(CONTROL_PORT), "--profile", profile,
                      "--gather", str(self.o.gather)], CONTROL_PORT, ["--yardstick", f"127.0.0.1:{CONTROL_PORT}"],
                      cores, self.log())

    def muster(self, workers, cores):
        text = open(self.o.config).read()
        text = re.sub(r"(?m)^(\s*workers:).*$", rf"\1 {workers}", text)
        path = os.path.join(self.tmp, f"bench{workers}.yaml")
        open(path, "w").write(text)
        return Server(self.o, "muster", [self.o.musterd, "--config", path], 8088, ["--url", "http://127.0.0.1:8088"], cores,
                      self.log())

    def janus(self, cores):
        d = os.path.join(self.tmp, "janus")
        if not os.path.isdir(d):
            for sub in ("conf", "plugins", "transports", "none"):
                os.makedirs(os.path.join(d, sub))
            os.symlink(f"{JANUS_LIB}/plugins/libjanus_videoroom.so", f"{d}/plugins/libjanus_videoroom.so")
            os.symlink(f"{JANUS_LIB}/transports/libjanus_http.so", f"{d}/transports/libjanus_http.so")
            for name, text in JANUS_CONF.items():
                open(f"{d}/conf/{name}", "w").write(text.format(dir=d, port=JANUS_PORT))
        return Server(self.o, "janus", [self.o.janus, "-F", f"{d}/conf", "-C", f"{d}/conf/janus.jcfg", "--disable-colors"],
                      JANUS_PORT, ["--janus", f"http://127.0.0.1:{JANUS_PORT}/janus", "--base", JANUS_BASE], cores,
                      self.log())

    def start(self, kind, profile="gcm", workers=1, cores=None):
        cores = cores or str(self.o.server_core)
        if kind == "yardstick":
            return self.yardstick(profile, cores)
        if kind == "muster":
            return self.muster(workers, cores)
        return self.janus(cores)

    def load(self, server, *args):
        out = os.path.join(self.tmp, "report.json")
        if os.path.exists(out):
            os.unlink(out)
        command = [f"{self.bin}/mu-load", *server.args, "--pid", str(server.process.pid), "--json", out, "--warmup",
                   str(self.o.warmup), "--seconds", str(self.o.seconds), *[str(a) for a in args]]
        if not self.o.no_pin:
            command += ["--core", str(self.o.load_core)]
        command += self.o.load_args.split()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not os.path.exists(out):
            raise SystemExit(f"run.py: mu-load left no report against {server.name}:\n{done.stdout}")
        report = json.load(open(out))
        if report["failures"]:
            print(f"  {server.name}: {report['failures']} failures: {report.get('failure')}", flush=True)
        return report

    def measure(self, key, kind, *args, profile="gcm", workers=1, cores=None):
        """One run against a fresh server, kept under `key`."""
        server = self.start(kind, profile, workers, cores)
        try:
            r = self.load(server, "--profile", profile, *args)
            if kind == "muster":
                r["server"] = read_metrics()
                r["log_errors"] = len(server.errors())
        finally:
            server.stop()
        self.results.setdefault(key, []).append(r)
        cost, loss, late = r.get("cpu_ns_per_packet", 0), r.get("loss_percent", 0), r.get("last_ms", {}).get("p99", 0)
        print(f"  {key:<24} {r['viewers']:>5} viewers {cost:>7.0f} ns/packet  loss {loss:.3f} %  last p99 {late:.1f} ms  "
              f"generator {100 * r.get('own_cpu_share', 0):.0f} %", flush=True)
        return r

    def run_core(self, repeats):
        command = [f"{self.bin}/bench_core", "--json", "--repeats", str(repeats), "--core", str(self.o.server_core)]
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        self.core = [json.loads(line) for line in text.splitlines()]
        for c in self.core:
            figure = f"{c['gain']:.2f} x one" if "gain" in c else f"{c['ns']:>6.0f} ns/packet {c['ratio']:.2f} x L"
            print(f"  core {c['way']:<11} {c['profile']:<4} {c['sinks']:>4} sinks {figure}", flush=True)

    def value(self, key, *path):
        """Median over the repeats of a figure, None if it was not measured."""
        values = []
        for r in self.results.get(key, []):
            for p in path:
                r = r.get(p) if isinstance(r, dict) else None
            if r is not None:
                values.append(r)
        return statistics.median(values) if values else None

    def paired(self, key, other):
        """Median over the repeats of the ratio of costs: a slow minute falls on both."""
        ratios = [a["cpu_ns_per_packet"] / b["cpu_ns_per_packet"]
                  for a, b in zip(self.results.get(key, []), self.results.get(other, []))
                  if a.get("cpu_ns_per_packet") and b.get("cpu_ns_per_packet")]
        return statistics.median(ratios) if ratios else None


def read_metrics():
    try:
        request = urllib.request.Request("http://127.0.0.1:8088/metrics", headers={"Authorization": "Bearer bench"})
        text = urllib.request.urlopen(request, timeout=3).read().decode()
    except OSError:
        return {}

    def total(name):
        return sum(float(v) for v in re.findall(rf"(?m)^{name}{{[^}}]*}} (\S+)", text))
    return {"sent": total("muster_sent_datagrams_total"), "messages": total("muster_sent_messages_total")}


def per_message(b, key):
    sent, messages = b.value(key, "server", "sent"), b.value(key, "server", "messages")
    return sent / messages if sent and messages else None


class Table:
    def __init__(self):
        self.missed, self.rows = [], []

    def row(self, name, value, must=None, aim=None, more=False, unit=""):
        """must, aim: bounds from above, or from below with `more`."""
        if value is None:
            print(f"{name:<62} not measured")
            if must is not None:
                self.missed.append(f"{name}: not measured")
            return
        good = must is None or (value >= must if more else value <= must)
        sign = ">=" if more else "<="
        bounds = (f"{sign} {must}{unit}" if must is not None else "") + (f" (aim {aim})" if aim is not None else "")
        print(f"{name:<62} {value:>9.3f}{unit:<5} {bounds:<24} {'' if must is None else 'ok' if good else 'MISSED'}")
        self.rows.append({"name": name, "value": value, "must": must, "good": good})
        if not good:
            self.missed.append(f"{name}: {value:.3f}{unit}, must be {sign} {must}{unit}")


def conference_cost(b):
    """A conference in which nothing changes, and as many plain viewers of as many plain publishers at the rate of its tiles."""
    n = b.o.members
    b.measure("conference cost", "muster", "--mode", "conference", "--members", n, "--rounds", 0, "--extra", 0)
    b.measure("conference relay", "muster", "--publishers", n, "--viewers", n * (n - 1), "--bitrate", TILE_BITRATE)


def conference(b, rounds):
    b.measure("conference", "muster", "--mode", "conference", "--members", b.o.members, "--rounds", rounds)


def full(b):
    o = b.o
    b.run_core(o.repeats)
    for i in range(o.repeats):
        print(f"repeat {i + 1} of {o.repeats}", flush=True)
        for profile in ("gcm", "cm"):
            b.measure(f"yardstick {profile} 200", "yardstick", "--viewers", 200, profile=profile)
            b.measure(f"muster {profile} 200", "muster", "--viewers", 200, profile=profile)
            if o.janus:
                b.measure(f"janus {profile}", "janus", "--viewers", o.janus_viewers, profile=profile)
        b.measure("muster gcm 50", "muster", "--viewers", 50)
        b.measure("muster gcm 500", "muster", "--viewers", 500)
        b.measure("half load", "muster", "--viewers", 400, "--publishers", 2)
        b.measure("one worker", "muster", "--viewers", 150, "--publishers", 1, workers=1)
        b.measure("two workers", "muster", "--viewers", 300, "--publishers", 2, workers=2,
                  cores=f"{o.server_core},{o.load_core}")
        conference_cost(b)
    conference(b, o.members)
    for n in (800, 1000):
        b.measure(f"yardstick gcm {n}", "yardstick", "--viewers", n)
        b.measure(f"muster gcm {n}", "muster", "--viewers", n)
    b.measure("join", "muster", "--mode", "join", "--sessions", 100, "--hold", 50)
    if o.janus:
        b.measure("janus join", "janus", "--mode", "join", "--sessions", 30, "--hold", 50)
    b.measure("churn", "muster", "--mode", "churn", "--sessions", o.churn, "--churn-publish")


def short(b):
    b.o.warmup, b.o.seconds = 1, 2
    b.run_core(1)
    for profile in ("gcm", "cm"):
        b.measure(f"yardstick {profile} 200", "yardstick", "--viewers", 100, profile=profile)
        b.measure(f"muster {profile} 200", "muster", "--viewers", 100, profile=profile)
    if b.o.janus:
        b.measure("janus gcm", "janus", "--viewers", 20)
    b.measure("join", "muster", "--mode", "join", "--sessions", 20)
    b.measure("churn", "muster", "--mode", "churn", "--sessions", 200, "--churn-publish")
    conference(b, 3)
    b.measure("conference relay", "muster", "--publishers", b.o.members, "--viewers", b.o.members * (b.o.members - 1),
              "--bitrate", TILE_BITRATE)


def conference_only(b):
    for i in range(b.o.repeats):
        conference_cost(b)
    conference(b, b.o.members)


def workers_at_part_load(b):
    """Two workers at the load of one each, against one: whole programs, on their cores in part, for the generator needs the
    second core as well. Flat out, without readers, bench_core measures it."""
    gains = []
    for one, two in zip(b.results.get("one worker", []), b.results.get("two workers", [])):
        shares = sorted((t["share"] for t in two.get("thread", [])), reverse=True)[:2]
        if len(shares) == 2 and two.get("cpu_ns_per_packet"):
            gains.append(sum(shares) / shares[0] * one["cpu_ns_per_packet"] / two["cpu_ns_per_packet"])
        elif shares:
            gains.append(1.0)
    return statistics.median(gains) if gains else None


def churn_growth(b, field):
    """Last against the first quarter's end, percent: what grows after warm-up is a leak."""
    rows = (b.results.get("churn") or [{}])[-1].get("over_time", [])
    if len(rows) < 4:
        return None
    early, last = rows[len(rows) // 4][field], rows[-1][field]
    return 100.0 * (last - early) / early if early else None


def must_table(b, t):
    core = {(c["profile"], c["sinks"]): c["ratio"] for c in b.core if c["way"] == "muster"}
    gain = {c["profile"]: c["gain"] for c in b.core if "gain" in c}
    for profile in ("gcm", "cm"):
        t.row(f"cost a packet, {profile}, 200 viewers: muster / yardstick",
              b.paired(f"muster {profile} 200", f"yardstick {profile} 200"), 1.5, 1.2)
        if b.o.janus:
            t.row(f"cost a packet, {profile}: muster at 200 / Janus at {b.o.janus_viewers}",
                  b.paired(f"muster {profile} 200", f"janus {profile}"), 0.2, 0.1)
        t.row(f"forwarding core alone, {profile}, 200 sinks: muster / L", core.get((profile, 200)), 1.5, 1.2)
    t.row("cost a packet: 500 viewers / 50 viewers", b.paired("muster gcm 500", "muster gcm 50"), 1.15, 1.05)
    t.row("two workers against one, flat out, one publisher's viewers shared", gain.get("gcm"), 1.8, 1.9, more=True)
    for n, key in ((800, "muster gcm 800"), (1000, "muster gcm 1000")):
        bounds = (0.1, 20, n) if n == 800 else (None, None, None)
        t.row(f"{n} viewers: of them watching", b.value(key, "viewers"), bounds[2], more=True)
        t.row(f"{n} viewers: loss", b.value(key, "loss_percent"), bounds[0], unit=" %")
        t.row(f"{n} viewers: latency p99", b.value(key, "latency_ms", "p99"), bounds[1], unit=" ms")
    for key, name in (("muster gcm 200", "a quarter's load"), ("half load", "half load")):
        t.row(f"last of 200 viewers at {name}: p50", b.value(key, "last_ms", "p50"), 2, unit=" ms")
        t.row(f"last of 200 viewers at {name}: p99", b.value(key, "last_ms", "p99"), 5, unit=" ms")
    t.row("loss at 200 viewers", b.value("muster gcm 200", "loss_percent"), 0, unit=" %")
    t.row("memory a viewer at 500", b.value("muster gcm 500", "rss_kib_per_viewer"), 100, unit=" KiB")
    t.row("join to first decodable frame: p95", b.value("join", "join_ms", "p95"), 300, unit=" ms")
    t.row(f"{b.o.churn} sessions: failures", b.value("churn", "failures"), 0)
    t.row("  errors in the log", b.value("churn", "log_errors"), 0)
    t.row("  RSS growth after warm-up", churn_growth(b, "rss_kib"), 2, unit=" %")
    t.row("  threads' growth", churn_growth(b, "threads"), 0, unit=" %")
    conference_table(b, t)


CONFERENCE_ERRORS = ("wrong_track", "mixed", "no_key", "picture_jumps", "time_jumps", "backwards", "ssrc_changes", "unknown",
                     "bad", "larger_late", "smaller_late", "speaker_late")


def conference_errors(b):
    runs = b.results.get("conference", []) + b.results.get("conference cost", [])
    return sum(r.get(e, 0) for r in runs for e in CONFERENCE_ERRORS) if runs else None


def conference_table(b, t, must=True):
    """must: with bounds for what depends on how busy the machine is."""
    def took(field, q="p95"):
        return b.value(key, field, q) if b.value(key, field, "n") else None  # of nothing there is no quantile

    def bound(x):
        return x if must else None
    n, key = b.o.members, "conference"
    cost = "conference cost" if must else key
    t.row(f"conference of {n}: failures", b.value(key, "failures"), 0)
    for e in CONFERENCE_ERRORS:
        if b.value(key, e):
            t.row(f"  {e}", b.value(key, e), bound(0))
    t.row("  errors of any kind", conference_errors(b), bound(0))
    t.row("  packets that nothing repaired", b.value(key, "loss_percent"), 0, unit=" %")
    t.row("  frames whole", b.value(key, "whole_percent"), bound(99.9), more=True, unit=" %")
    t.row("  forwarding delay p50", b.value(cost, "latency_ms", "p50"), bound(2), unit=" ms")
    t.row("  forwarding delay p99", b.value(cost, "latency_ms", "p99"), bound(20), unit=" ms")
    t.row("  cost a packet: members / plain viewers", b.paired(cost, "conference relay"), bound(2), 1.5)
    t.row("  from hello to all pictures: p50", took("tiles_ms", "p50"), unit=" ms")
    t.row("  from hello to all pictures: p95", took("tiles_ms"), bound(1000), unit=" ms")
    t.row("  another one speaks, heard of: p95", took("speaker_ms"), bound(300), unit=" ms")
    t.row("  a tile grows, first frame of its layer: p95", took("larger_ms"), bound(300), unit=" ms")
    t.row("  a tile shrinks, first frame of its layer: p95", took("smaller_ms"), bound(300), unit=" ms")
    t.row("  20 come within a second: key frames asked for, of one encoding", b.value(key, "storm_asked"), bound(2))
    t.row("  the same, of all of a source's encodings", b.value(key, "storm_asked_all"))
    t.row("  20 come within a second, all pictures: p95", took("storm_tiles_ms"), unit=" ms")
    t.row("  memory a member", b.value(cost, "rss_kib_per_member"), unit=" KiB")
    t.row("  CPU a track", b.value(cost, "cpu_us_per_track_s"), unit=" us/s")
    t.row("  server's share of its core", b.value(cost, "server_cpu_share"))


def print_facts(b, t):
    t.row("server's share of its core at half load", b.value("half load", "server_cpu_share"))
    t.row("two workers against one, whole program at part load", workers_at_part_load(b))
    for key in b.results:
        if per_message(b, key):
            t.row(f"packets a message, {key}", per_message(b, key))
    for key in ("yardstick gcm 200", "janus gcm"):
        t.row(f"last viewer p50, {key}", b.value(key, "last_ms", "p50"), unit=" ms")
        t.row(f"last viewer p99, {key}", b.value(key, "last_ms", "p99"), unit=" ms")
    t.row("yardstick at 1000: loss", b.value("yardstick gcm 1000", "loss_percent"), unit=" %")
    t.row("yardstick at 1000: latency p99", b.value("yardstick gcm 1000", "latency_ms", "p99"), unit=" ms")
    t.row("Janus: memory a viewer", b.value("janus gcm", "rss_kib_per_viewer"), unit=" KiB")
    t.row("Janus: join p95", b.value("janus join", "join_ms", "p95"), unit=" ms")


def short_table(b, t):
    for profile in ("gcm", "cm"):
        t.row(f"cost a packet, {profile}, 100 viewers: muster / yardstick",
              b.paired(f"muster {profile} 200", f"yardstick {profile} 200"))
    if b.o.janus:
        t.row("cost a packet: muster at 100 / Janus at 20", b.paired("muster gcm 200", "janus gcm"))
    t.row("last of 100 viewers: p99", b.value("muster gcm 200", "last_ms", "p99"), unit=" ms")
    t.row("loss", b.value("muster gcm 200", "loss_percent"), unit=" %")
    t.row("join p95", b.value("join", "join_ms", "p95"), unit=" ms")
    failures = sum(r["failures"] for runs in b.results.values() for r in runs)
    t.row("failures", failures, 0)
    t.row("viewers", b.value("muster gcm 200", "viewers"), 100, more=True)
    conference_table(b, t, must=False)


def read_options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    p.add_argument("--musterd", help="default: that of the build")
    p.add_argument("--config", default=os.path.join(TOP, "configs/bench.yaml"))
    p.add_argument("--janus", default=shutil.which("janus") or "", help="Janus' program; empty: leave it out")
    p.add_argument("--janus-viewers", type=int, default=60, help="what Janus can carry (60)")
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--seconds", type=float, default=5)
    p.add_argument("--warmup", type=float, default=2)
    p.add_argument("--churn", type=int, default=10000, help="sessions set up and torn down (10000)")
    p.add_argument("--gather", type=int, default=0, help="microseconds the yardstick gathers (0: it forwards at once)")
    p.add_argument("--server-core", type=int, default=0)
    p.add_argument("--load-core", type=int, default=1)
    p.add_argument("--no-pin", action="store_true")
    p.add_argument("--load-args", default="", help="more options for mu-load, such as '--gro' or '--spin'")
    p.add_argument("--members", type=int, default=12, help="of the conference (12)")
    p.add_argument("--conference", action="store_true", help="nothing but the conference")
    p.add_argument("--short", action="store_true")
    p.add_argument("--must", action="store_true")
    p.add_argument("--json", help="write all reports there")
    o = p.parse_args()
    o.musterd = o.musterd or os.path.join(o.build, "gateway/daemon/musterd")
    return o


def main():
    opts = read_options()
    enter_namespace()
    table = Table()
    with tempfile.TemporaryDirectory(prefix="mu-bench-") as tmp:
        bench = Bench(opts, tmp)
        (conference_only if opts.conference else short if opts.short else full)(bench)
        print()
        if opts.conference:
            conference_table(bench, table)
        elif opts.short:
            short_table(bench, table)
        else:
            must_table(bench, table)
            print_facts(bench, table)
        if opts.json:
            with open(opts.json, "w") as f:
                json.dump({"runs": bench.results, "core": bench.core, "table": table.rows}, f, indent=1)
    for line in table.missed:
        print(f"missed: {line}")
    sys.exit(1 if table.missed and (opts.must or opts.short) else 0)


if __name__ == "__main__":
    main()
