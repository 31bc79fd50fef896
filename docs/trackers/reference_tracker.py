#!/usr/bin/env python3
"""A whole tracker for halfhour in one file, to read and to copy from. It needs Python 3.8 and nothing else.

    reference_tracker.py pair http://127.0.0.1:8080 7K3M-9QXD-2VTA    once, with a code of POST /v1/link-codes
    reference_tracker.py report usage.ndjson                         as often as you like, for instance from cron

The log has a line for each model request: {"at": "2026-11-20T10:03:11Z", "source": "codex", "model": "gpt-5.2",
"input_tokens": 1200, "output_tokens": 80}. A real tracker reads the logs of its tool instead, in `read_log`.
Exit codes: 0 everything is there; 1 some buckets were rejected, or the server cannot be reached; 2 wrong arguments.
"""
import datetime
import json
import os
import platform
import random
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid

STATE = os.environ.get("TRACKER_STATE", os.path.expanduser("~/.halfhour-tracker.json"))
PATIENCE_S = float(os.environ.get("TRACKER_PATIENCE_S", "300"))  # for one request with all its repetitions
MOST_POSTED = 500
UTC = datetime.timezone.utc


def load():
    try:
        with open(STATE, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def save(state):
    """Whole or not at all, for this user alone: it holds the token."""
    unfinished = STATE + ".unfinished"
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(unfinished, STATE)


def post(url, path, body, headers):
    """POST until there is an answer that lasts. Returns status and JSON. The same bytes may be sent any number of
    times: a bucket is a total and not a delta, and whoever loses the answer loses nothing by asking again."""
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "X-Request-Id": str(uuid.uuid4()), **headers}
    until, pause = time.monotonic() + PATIENCE_S, 1.0
    while True:
        request = urllib.request.Request(url + path, data, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            why, wait = f"{error.code} {error.reason}", error.headers.get("Retry-After")
            try:
                problem = json.load(error)
            except ValueError:  # a proxy's own page
                problem = {"detail": why}
            if error.code not in (408, 429) and error.code < 500:
                return error.code, problem  # the same request would be refused again
            why = problem.get("detail", why)
        except (OSError, ValueError) as error:  # no connection, or an answer that broke off
            why, wait = str(error), None
        seconds = float(wait) if wait and wait.isdigit() else pause
        if time.monotonic() + seconds > until:
            sys.exit(f"{url} is not available: {why}. Nothing is lost: report again later.")
        time.sleep(seconds + random.uniform(0, seconds / 4))  # not everybody at the same moment
        pause = min(pause * 2, 60)


def pair(url, code):
    """Exchanges a code for a device's token. The request's id is kept before it is sent, so that a repetition after a
    crash or a lost answer gets the same token, and not a second device."""
    state = load()
    if state.get("pairing", {}).get("code") != code:
        state["pairing"] = {"code": code, "request_id": str(uuid.uuid4())}
        save(state)
    name = os.environ.get("TRACKER_DEVICE_NAME", socket.gethostname() or "unknown")
    body = {**state["pairing"], "device_name": name, "platform": platform.system().lower() or "unknown"}
    status, answer = post(url.rstrip("/"), "/v1/link-codes/exchange", body, {})
    if status != 201:
        sys.exit("not paired: " + explain(answer))
    # What was sent for another device has to be sent for this one.
    save({"url": url.rstrip("/"), "token": answer["token"], "sent": {}})
    print(f"paired as {name}, {answer['device_id']}")


def read_log(path):
    """The totals of each bucket. Whatever shares a half hour, a tool and a model is added up here, by the tracker."""
    buckets = {}
    with open(path, encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            entry = json.loads(line)
            at = datetime.datetime.fromisoformat(entry.pop("at").replace("Z", "+00:00")).astimezone(UTC)
            start = at.replace(minute=at.minute // 30 * 30, second=0, microsecond=0)
            key = (start.strftime("%Y-%m-%dT%H:%M:%SZ"), entry.pop("source"), entry.pop("model"))
            counts = buckets.setdefault(key, {"request_count": 0})
            for name, count in {**entry, "request_count": 1}.items():
                counts[name] = counts.get(name, 0) + count
    return buckets


def report(path):
    state = load()
    if "token" not in state:
        sys.exit("not paired yet: " + __doc__.splitlines()[2].strip())
    # Before the log is read: what is written to it from now on belongs to the next snapshot.
    observed_at = datetime.datetime.now(UTC).isoformat()
    changed = [(key, counts) for key, counts in read_log(path).items() if state["sent"].get("|".join(key)) != counts]
    headers = {"Authorization": "Bearer " + state["token"], "Prefer": "handling=lenient"}
    rejected = 0
    for first in range(0, len(changed), MOST_POSTED):
        part = changed[first : first + MOST_POSTED]
        names = ("hour_start", "source", "model")
        buckets = [{**dict(zip(names, key)), "observed_at": observed_at, **counts} for key, counts in part]
        status, answer = post(state["url"], "/v1/buckets", {"buckets": buckets}, headers)
        if status != 200:
            sys.exit("refused: " + explain(answer))
        # Every verdict but `rejected` is final, also that something newer stands: nothing is to be sent again.
        for (key, counts), verdict in zip(part, answer["verdicts"]):
            if verdict != "rejected":
                state["sent"]["|".join(key)] = counts
        for rejection in answer["rejections"]:
            rejected += 1
            print(rejection["pointer"], rejection["detail"], buckets[rejection["index"]], file=sys.stderr)
        save(state)
    print(f"{len(changed)} buckets sent, {rejected} things wrong")
    sys.exit(1 if rejected else 0)


def explain(problem):
    wrong = [f"{error['pointer']}: {error['detail']}" for error in problem.get("errors", [])]
    return " ".join([problem.get("detail", "no problem of halfhour"), *wrong])


if __name__ == "__main__":
    if sys.argv[1:2] == ["pair"] and len(sys.argv) == 4:
        pair(*sys.argv[2:])
    elif sys.argv[1:2] == ["report"] and len(sys.argv) == 3:
        report(sys.argv[2])
    else:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
