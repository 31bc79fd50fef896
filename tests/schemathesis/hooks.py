"""What schemathesis cannot know of the contract: lines of JSON, headers whose value changes what the body is, who is taken
generously, and that whoever is told to come again comes again."""

import json
import time

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

# What says that the same request may be sent again, and how often it is.
AGAIN = (503, 504)
TRIES = 10
# Trackers of other products, and coding tools themselves: a label of a body that cannot be read is left out, a row is
# skipped, and a record of another kind is passed over.
GENEROUS = {"trackers", "opentelemetry"}


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    """One bucket a line."""
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.hook
def map_headers(context, headers):
    """Nothing here is compressed, and a lenient post says 200 to buckets that it rejects."""
    other = ("content-encoding", "prefer")
    return {name: value for name, value in (headers or {}).items() if name.lower() not in other}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether something was found. How busy this machine is breaks no promise: only who is sent away each time counts."""
    if "negative_data_rejection" in failure.checks and GENEROUS.intersection(case.operation.tags or ()):
        if case.meta.is_negative_at(ParameterLocation.BODY):
            return False
    status = response.status_code
    for attempt in range(TRIES):
        if status not in AGAIN:
            return attempt == 0 or status >= 500
        time.sleep(min(1 + attempt, 5))
        with requests.Session() as session:
            status = session.send(response.request, timeout=120).status_code
    return True
