"""What schemathesis cannot know of the contract: lines of JSON, and headers whose value changes what the body is."""

import json

import schemathesis


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
