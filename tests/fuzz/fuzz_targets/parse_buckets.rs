//! Any bytes as the body of `POST /v1/buckets`: read without a panic, within bounds, and with an answer for everything.

#![no_main]

use halfhour::features::ingest_buckets::parse_any;

libfuzzer_sys::fuzz_target!(|body: &[u8]| parse_any(body));
