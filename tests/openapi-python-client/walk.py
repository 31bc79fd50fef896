"""Walks the tour of docs/api.md with a client that openapi-python-client has made of docs/openapi.json.

    tests/with_server HALFHOUR PYTHON tests/openapi-python-client/walk.py

PYTHON is that of an environment with openapi-python-client. Whatever the generator warns of, or leaves out, is a failure.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from importlib import import_module

HERE = pathlib.Path(__file__).resolve().parent
CONTRACT = HERE.parents[1] / "docs" / "openapi.json"
PROGRAM = pathlib.Path(sys.executable).with_name("openapi-python-client")
PACKAGE = "halfhour_client"
# So often a read is repeated until what was posted is in it.
TRIES = 300


def generate(folder):
    """Makes the client in a folder, and has every operation of the contract imported."""
    command = [PROGRAM, "generate", "--path", CONTRACT, "--config", HERE / "config.yml", "--meta", "none"]
    subprocess.run([*command, "--output-path", folder / PACKAGE, "--fail-on-warning"], check=True)
    sys.path.insert(0, str(folder))
    operations = {}
    for item in json.loads(CONTRACT.read_text())["paths"].values():
        for operation in item.values():
            name = operation["operationId"]
            operations[name] = import_module(f"{PACKAGE}.api.{operation['tags'][0]}.{name}")
    print(f"{len(operations)} operations were generated")
    return operations


class Tour:
    """Somebody who calls operations as a kind of caller, and looks at the type of each answer."""

    def __init__(self, operations):
        self.operations = operations
        self.models = import_module(f"{PACKAGE}.models")
        self.client = import_module(PACKAGE).AuthenticatedClient

    def call(self, token, operation, status, kind, **arguments):
        client = self.client(base_url=os.environ["HALFHOUR_URL"], token=token, timeout=120)
        answer = self.operations[operation].sync_detailed(client=client, **arguments)
        assert answer.status_code == status, f"{operation}: {answer.status_code} {answer.content}"
        wanted = getattr(self.models, kind)
        assert isinstance(answer.parsed, wanted), f"{operation}: {answer.parsed!r} is no {kind}"
        # Everything that was answered has a place in the type.
        extra = getattr(answer.parsed, "additional_properties", {})
        assert not extra, f"{operation}: {extra} is not described"
        return answer.parsed

    def read(self, operation, kind, **arguments):
        """The same as a viewer, once nothing is pending."""
        for _ in range(TRIES):
            read = self.call(self.viewer, operation, 200, kind, **arguments)
            if not read.pending:
                return read
            time.sleep(0.1)
        raise AssertionError(f"{operation}: still pending")

    def walk(self):
        models = self.models
        self.viewer = os.environ["HALFHOUR_VIEWER_TOKEN"]
        me = self.call(self.viewer, "get_me", 200, "Profile")
        assert (me.name, me.time_zone) == ("me", "UTC"), me

        device = models.NewDevice(name="laptop", platform="linux")
        made = self.call(self.viewer, "register_device", 201, "RegisteredDevice", body=device)
        taken = self.call(self.viewer, "register_device", 409, "Problem", body=device)
        assert (taken.code, taken.errors[0].code) == ("conflict", "name_in_use"), taken

        now = datetime.now(timezone.utc).replace(microsecond=0)
        hour = now.replace(minute=0, second=0)
        bucket = models.PostedBucket(
            hour_start=hour,
            source="claude-code",
            model="claude-opus-4-5",
            observed_at=now,
            input_tokens=1200,
            output_tokens=800,
        )
        post = models.PostedBuckets(buckets=[bucket])
        receipt = self.call(made.token, "ingest_buckets", 200, "Receipt", body=post)
        assert (receipt.received, receipt.verdicts) == (1, ["inserted"]), receipt
        again = self.call(made.token, "ingest_buckets", 200, "Receipt", body=post)
        assert again.verdicts == ["unchanged"], again

        bucket.hour_start, bucket.input_tokens = hour + timedelta(minutes=15), -1
        refused = self.call(made.token, "ingest_buckets", 422, "Problem", body=post)
        codes = {one.pointer: one.code for one in refused.errors}
        assert codes["/buckets/0/hour_start"] == "not_a_half_hour", codes
        assert codes["/buckets/0/input_tokens"] == "out_of_range", codes
        assert (refused.code, refused.retry) == ("invalid", "never"), refused
        self.call(self.viewer, "ingest_buckets", 403, "Problem", body=post)
        self.call("hhv_nobody", "get_rollups", 401, "Problem")

        rollups = self.read("get_rollups", "Rollups", group_by=["source", "model"])
        assert (rollups.totals.total_tokens, rollups.data[0].results[0].source) == (2000, "claude-code"), rollups
        summary = self.read("get_rollup_summary", "Summary")
        assert (summary.totals.input_tokens, summary.by_model[0].model) == (1200, "claude-opus-4-5"), summary
        costs = self.read("get_receipt", "CostReceipt")
        assert sum(line.tokens for line in costs.lines) == 2000, costs
        heatmap = self.read("get_rollup_heatmap", "Heatmap")
        assert heatmap.to.isoformat() >= hour.date().isoformat(), heatmap
        buckets = self.read("get_buckets", "StoredBuckets", limit=1)
        assert (buckets.data[0].hour_start, buckets.data[0].output_tokens) == (hour, 800), buckets
        wrong = self.call(self.viewer, "get_rollups", 422, "Problem", fill="zero", group_by=["source"])
        assert wrong.errors[0].code == "fill_needs_no_groups", wrong

        looked = self.call(self.viewer, "erase_usage", 200, "Erasure", source="claude-code", dry_run=True)
        assert (looked.dry_run, looked.buckets) == (True, 1), looked


with tempfile.TemporaryDirectory() as folder:
    Tour(generate(pathlib.Path(folder))).walk()
print("the tour was walked")
