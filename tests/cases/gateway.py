"""A musterd of the case's own: started, asked, looked at from outside, stopped."""
import hashlib
import http.client
import base64
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import uuid

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MUSTER_BUILD", os.path.join(TOP, "build"))
MUSTERD = os.path.join(BUILD, "gateway/daemon/musterd")


def until(test, seconds=10, what="it"):
    """Ask twenty times a second. @return the first true answer"""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def allowed_kib(kib):
    """How much memory may grow by. What is freed stays with AddressSanitizer for a while: there it says nothing."""
    with open(MUSTERD, "rb") as f:
        return kib if b"__asan_init" not in f.read() else 1 << 20


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.text[:300]}"


def b64(data):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """An Ed25519 key that signs tokens; openssl does the arithmetic."""

    def __init__(self, folder, name="token"):
        self.key, self.public = os.path.join(folder, name), os.path.join(folder, name + ".pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key], check=True)
        subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-out", self.public], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        jwk = '{"crv":"Ed25519","kty":"OKP","x":"%s"}' % b64(der[-32:])
        self.kid = b64(hashlib.sha256(jwk.encode()).digest())

    def sign_text(self, text):
        with tempfile.NamedTemporaryFile() as f:
            f.write(text.encode())
            f.flush()
            done = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.key, "-in", f.name],
                                  check=True, capture_output=True)
        return b64(done.stdout)

    def token(self, scope, header=None, **claims):
        """Header and claims may be overridden; a claim of None is left out."""
        now = int(time.time())
        body = {"jti": str(uuid.uuid4()), "sub": "case", "scope": scope, "iat": now, "exp": now + 600, **claims}
        head = {"alg": "EdDSA", "typ": "JWT", "kid": self.kid, **(header or {})}
        text = b64(head) + "." + b64({k: v for k, v in body.items() if v is not None})
        return text + "." + self.sign_text(text)


def jti_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["jti"]


class Gateway:
    def __init__(self, folder, workers=1, bench=True, state=None, prefix=(), **groups):
        """groups: more of the configuration, as {"limits": {"sessions": 5}}. prefix: what runs musterd."""
        self.folder, self.prefix = str(folder), list(prefix)
        self.port = free_port()
        self.url_host = f"127.0.0.1:{self.port}"
        self.bench = bench
        self.key = None if bench else Signer(self.folder)
        self.site = "bench" if bench else "city"
        self.token = "bench" if bench else self.key.token("admin")
        config = {"site": self.site, "http": {"listen": [self.url_host]},
                  "media": {"workers": workers, "port": 0, "listen": ["127.0.0.1"]}, "log": {"level": "info"}}
        if bench:
            config["insecure_bench"] = True
        else:
            config["auth"] = {"keys": [self.key.public]}
        if state:
            config["state"] = str(state)
        for group, rows in groups.items():
            config[group] = {**config.get(group, {}), **rows} if isinstance(rows, dict) else rows
        self.config = config
        self.file = os.path.join(self.folder, "musterd.yaml")
        self.log_file = os.path.join(self.folder, "musterd.log")
        self.process = None
        self.pid = None

    def write_config(self):
        with open(self.file, "w") as f:
            json.dump(self.config, f)  # JSON is YAML

    def start(self):
        self.write_config()
        with open(self.log_file, "a") as log:
            self.process = subprocess.Popen([*self.prefix, MUSTERD, "--config", self.file], stdout=log, stderr=log)
        until(self.answers, 15, f"start of musterd ({self.log()[-2000:]})")
        self.pid = self.find_pid()
        return self

    def find_pid(self):
        """musterd's own: the prefix may have started it as a child."""
        pid = self.process.pid
        while True:
            with open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "musterd":
                    return pid
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                pid = int(f.read().split()[0])

    def answers(self):
        assert self.process.poll() is None, f"musterd ended with {self.process.returncode}:\n{self.log()[-3000:]}"
        try:
            return self.http("GET", "/healthz", token=None, timeout=1).status == 200
        except OSError:
            return False

    def alive(self):
        return self.process.poll() is None and self.answers()

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self):
        """@return exit code"""
        if self.process is None:
            return None
        if self.process.poll() is None:
            try:
                self.signal(signal.SIGTERM)
                self.process.wait(15)
            except (subprocess.TimeoutExpired, ProcessLookupError):
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    # --- asked ---

    def connect(self, timeout=10, source=None):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=source)

    def http(self, method, path, body=None, type=None, token="default", headers=None, timeout=10, source=None):
        h = dict(headers or {})
        if token is not None:
            h["Authorization"] = "Bearer " + (self.token if token == "default" else token)
        if type:
            h["Content-Type"] = type
        c = self.connect(timeout, source)
        try:
            c.request(method, path, body=body, headers=h)
            r = c.getresponse()
            return Reply(r.status, r.headers, r.read())
        finally:
            c.close()

    def metrics(self):
        """{name: sum over all label sets}, and {"name{label}": value} for each."""
        r = self.http("GET", "/metrics")
        assert r.status == 200, r
        found = {}
        for line in r.text.splitlines():
            if line.startswith("#") or " " not in line:
                continue
            full, value = line.rsplit(" ", 1)
            name = re.sub(r"\{.*", "", full)
            found[full] = float(value)
            if "{" in full:
                found[name] = found.get(name, 0) + float(value)
            stage = re.search(r'stage="(\w+)"', full)
            if stage:
                found[stage.group(1)] = found.get(stage.group(1), 0) + float(value)
        return found

    # --- looked at ---

    def status(self, key):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(rf"^{key}:\s+(\d+)", f.read(), re.M).group(1))

    def rss_kib(self):
        return self.status("VmRSS")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return self.status("Threads")

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self):
        try:
            with open(self.log_file, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""
