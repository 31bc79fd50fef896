"""A server of its own with the year of `halfhour demo` in it, as whoever tries halfhour has it.

It has no environment but what it is given here, and all of it lies in one folder. When it is closed nothing runs for that
folder any more, and it is gone.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

# Whatever is waited for happens long before.
PATIENCE_S = 120
INTERVAL_S = 0.05
LIMITS = ["ANONYMOUS_PER_MINUTE", "DEVICE_PER_MINUTE", "VIEWER_PER_MINUTE", "OPERATOR_PER_MINUTE", "DEVICE_BUCKETS_PER_HOUR"]


def until(what, is_so):
    """Looks again and again, up to a limit that only a failure reaches. Returns what was found."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := is_so():
            return found
        time.sleep(INTERVAL_S)
    raise AssertionError(f"waited in vain for {what}")


def dies_with_us():
    """What is to stand before a command so that it ends even where this process is killed."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def working_in(folder):
    """What runs on behalf of a folder, as pids: processes that name it, or that work in it. None where there is no /proc."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            names_it = str(folder).encode() in (entry / "cmdline").read_bytes()
            is_in_it = os.readlink(entry / "cwd").startswith(str(folder))
        except OSError:
            # It may end while it is looked at, and others' cannot be looked into.
            continue
        if (names_it or is_in_it) and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


class Installation:
    """The program, its folder, its server, and the demo's own words about itself."""

    def __init__(self, halfhour):
        self.halfhour = str(pathlib.Path(halfhour).resolve(strict=True))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="halfhour-browser.", dir="/tmp"))
        # Open for walking through: where this is root, PostgreSQL's user has to.
        self.folder.chmod(0o755)
        (self.folder / "tmp").mkdir()
        self.server = None
        self.url = None
        self.demo = None

    def __enter__(self):
        try:
            self.start()
            self.demo = self.json("demo")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def environment(self):
        kept = {name: os.environ[name] for name in ["PATH", "LD_LIBRARY_PATH"] if name in os.environ}
        own = {"TMPDIR": f"{self.folder}/tmp", "HALFHOUR_DATA_DIR": f"{self.folder}/data", "HALFHOUR_LOG": "warn"}
        limits = {f"HALFHOUR_LIMIT_{name}": "0" for name in LIMITS}
        return {**kept, **own, **limits, "HALFHOUR_BIND": "127.0.0.1:0"}

    def start(self):
        with open(self.folder / "out", "wb") as out, open(self.folder / "err", "wb") as err:
            self.server = subprocess.Popen(
                [*dies_with_us(), self.halfhour],
                cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )
        self.url = until("the server to listen", self.said_url)

    def said_url(self):
        said = (self.folder / "err").read_text()
        if self.server.poll() is not None:
            raise AssertionError(f"the server ended: {said}")
        lines = [line for line in said.splitlines() if line.startswith("halfhour listens on ")]
        return lines[0].split(" ")[3] if lines else None

    def json(self, *arguments):
        """The one JSON value that a command prints when it succeeds."""
        done = subprocess.run(
            [self.halfhour, *arguments, "--json"],
            cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S,
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def credential(self, kind):
        """The token of a kind that the first start has written down."""
        lines = (self.folder / "data/credentials.env").read_text().splitlines()
        return next(line.split("=", 1)[1] for line in lines if line.startswith(f"HALFHOUR_{kind.upper()}_TOKEN="))

    def person(self, name, time_zone="UTC"):
        """The viewer token of somebody new who has no usage."""
        return self.json("user", "add", name, "--time-zone", time_zone)["viewer_token"]

    def api(self, token, path):
        """What the API answers to a viewer."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def sql(self, statement):
        """The rows of a statement, past the product. Values are text."""
        places = (self.folder / "data/postgres/postmaster.pid").read_text().splitlines()
        password = (self.folder / "data/postgres.password").read_text().strip()
        done = subprocess.run(
            ["psql", "-X", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", places[4], "-p", places[3],
             "-U", "halfhour", "-d", "halfhour", "-c", statement],
            env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=PATIENCE_S,
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def close(self):
        """Stops the server in good order, and looks that nothing is left. What will not end is killed, and said."""
        left, status = [], 0
        try:
            if self.server is not None:
                self.server.terminate()
                status = self.server.wait(timeout=PATIENCE_S)
            end = time.monotonic() + PATIENCE_S / 4
            while (left := working_in(self.folder)) and time.monotonic() < end:
                time.sleep(INTERVAL_S)
        finally:
            for pid in left or working_in(self.folder):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    continue
            shutil.rmtree(self.folder, ignore_errors=True)
        if status != 0 or left:
            raise AssertionError(f"the server ended with {status}, and {left} went on")
