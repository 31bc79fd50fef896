"""Asks a server with data in it whatever the contract lets one ask, as a device, a viewer, an operator and nobody.

    tests/with_server HALFHOUR PYTHON tests/schemathesis/ask.py [--examples N] [--seconds N] [--seed N]

PYTHON is that of an environment with schemathesis. Every value on either side of a bound is asked once, with the token that
the route is for. Then requests are made at random, so many examples for a route at a time, as each kind of caller. All of
that together ends after so many seconds: what was not asked by then is not asked, and that is no failure. With --all every
kind of caller asks everything once, however long it takes.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timezone

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.executable).with_name("schemathesis")
URL = os.environ["HALFHOUR_URL"]
KINDS = ["device", "viewer", "operator"]
# A switch that is off refuses what others ask.
SWITCHES = "put_switch"
INTERRUPTED = 130
# So long a run that is to end may take to say what it has found.
LAST_WORDS = 20


def token(kind):
    return os.environ[f"HALFHOUR_{kind.upper()}_TOKEN"]


def post(kind, path, body):
    headers = {"Authorization": f"Bearer {token(kind)}", "Content-Type": "application/json", "Idempotency-Key": path}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def fill():
    """Some usage, a second device, and a plan."""
    hour = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:00:00Z")
    used = {"hour_start": hour, "input_tokens": 1200, "output_tokens": 800}
    buckets = [{**used, "source": "codex", "model": "m"}, {**used, "source": "claude-code", "model": "n"}]
    post("device", "/v1/buckets", {"buckets": buckets})
    post("viewer", "/v1/devices", {"name": "spare"})
    plan = {"action": "replay", "reason": "a plan to look at", "from": "2026-01-01", "to": "2026-01-02"}
    post("operator", "/v1/backfills", plan)


def ended(command, folder, seconds):
    """The exit status of a command, which is interrupted after so many seconds; and all that it printed."""
    with open(folder / "printed", "wb") as printed:
        process = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=subprocess.STDOUT)
        try:
            for patience, end in [(seconds, signal.SIGINT), (LAST_WORDS, signal.SIGKILL)]:
                try:
                    process.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(end)
            status = process.wait()
        finally:
            process.kill()
    # Whoever is interrupted while it leaves anyway cannot say so itself.
    return (INTERRUPTED if status in (-signal.SIGINT, -signal.SIGKILL) else status), (folder / "printed").read_text(errors="replace")


def asked(name, folder, options, seconds):
    """Whether one run found nothing. What it printed is only shown where it did."""
    began = time.monotonic()
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [PROGRAM, *options, "--report-json-path", report]
    status, printed = ended(command, folder, seconds)
    told = json.loads(report.read_text()) if report.exists() else {}
    found = (told.get("failures") or []) + (told.get("errors") or [])
    cases = (told.get("test_cases") or {}).get("generated", 0)
    took = f"{cases} cases in {time.monotonic() - began:.0f} s"
    if status not in (0, INTERRUPTED) or found:
        print(printed, f"{name}: see above ({took})", sep="\n", flush=True)
        return False
    cut = ", and the time was over" if status == INTERRUPTED or told.get("stop_reason") == "max_time" else ""
    print(f"{name}: nothing was found by {took}{cut}", flush=True)
    return True


class Run:
    """Some requests: by whom, which, and for how much of the time."""

    def __init__(self, name, share, configuration, phases, *options):
        self.name, self.share, self.configuration = name, share, configuration
        self.options = ["--phases", phases, *options]


def runs():
    others = ["--exclude-operation-id", SWITCHES]
    yield Run("every bound, with the token that each route is for", 9, "matched.toml", "examples,coverage", *others)
    yield Run("at random, with the token that each route is for", 3, "matched.toml", "fuzzing,stateful", *others)
    everything = "examples,coverage,fuzzing,stateful"
    for kind in KINDS:
        header = f"Authorization: Bearer {token(kind)}"
        yield Run(f"as {kind}", 3, "schemathesis.toml", everything, *others, "--header", header)
    yield Run("as nobody", 3, "schemathesis.toml", everything)
    # No link leads to a switch, so that there is nothing to walk along.
    yield Run("switches", 2, "matched.toml", "examples,coverage,fuzzing", "--include-operation-id", SWITCHES)


def main():
    parser = argparse.ArgumentParser()
    for name, value in [("examples", 2), ("seconds", 260), ("seed", 1)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--all", action="store_true")
    told = parser.parse_args()
    fill()
    left, deadline, is_clean = list(runs()), time.monotonic() + told.seconds, True
    with tempfile.TemporaryDirectory() as folder:
        # schemathesis reads its hooks, and keeps what it has found, where it is started.
        folder = pathlib.Path(folder)
        texts = {name: (HERE / name).read_text() for name in ["hooks.py", "schemathesis.toml", "auth.toml"]}
        texts["matched.toml"] = texts["schemathesis.toml"] + "\n" + texts["auth.toml"]
        for name, text in texts.items():
            (folder / name).write_text(text)
        while left:
            run = left[0]
            seconds = max((deadline - time.monotonic()) * run.share / sum(one.share for one in left), 1)
            options = ["--config-file", run.configuration, "run", f"{URL}/openapi.json"]
            options += ["--max-examples", str(told.examples), *run.options]
            options += ["--seed", str(told.seed), "--continue-on-failure", "--suppress-health-check", "all"]
            options += ["--request-timeout", "120"]
            if not told.all:
                # The time is shared out among the routes.
                options += ["--max-time", str(max(round(seconds), 1))]
                seconds += LAST_WORDS
            is_clean &= asked(run.name, folder, options, seconds)
            left.pop(0)
    sys.exit(0 if is_clean else 1)


main()
