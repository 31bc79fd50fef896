//! `Content-Encoding` by RFC 9110.

use std::time::Duration;

use flate2::{Compression, GzBuilder};
use serde_json::json;

use super::{House, Sound, bucket, gzip, zstd};
use crate::support::{Reply, TestApp};

fn post(house: &House) -> Sound {
    house.sound().remove(0)
}

async fn send(house: &House, codings: &[&str], body: Vec<u8>) -> Reply {
    let headers: Vec<_> = codings.iter().map(|coding| ("content-encoding", *coding)).collect();
    house.ask(&post(house), &headers, body).await
}

#[tokio::test]
async fn codings_are_undone_in_any_case_and_from_the_last_to_the_first() {
    let house = House::start().await;
    let plain = post(&house).body;
    let (zipped, both) = (gzip(&plain), zstd(&gzip(&plain)));
    let four = gzip(&zstd(&gzip(&gzip(&plain))));
    for (codings, body) in [
        (&["GZIP"][..], &zipped),
        (&["x-gzip"], &zipped),
        (&["X-GZip"], &zipped),
        (&["Zstd"], &zstd(&plain)),
        (&[""], &plain),
        (&["identity"], &plain),
        (&["Identity, ,identity"], &plain),
        (&["identity, gzip"], &zipped),
        (&["gzip, zstd"], &both),
        (&["gzip,\tzstd ,"], &both),
        (&["gzip", "zstd"], &both),
        (&["gzip, gzip, zstd, gzip"], &four),
    ] {
        let reply = send(&house, codings, body.clone()).await;
        assert_eq!(reply.status, 200, "{codings:?}: {}", reply.json);
    }
    send(&house, &["zstd, gzip"], both).await.expect_problem(400, "malformed");
    assert_eq!(house.stored().await, ["1", "0"]);
}

#[tokio::test]
async fn an_unknown_coding_is_named_beside_those_that_are_taken() {
    let house = House::start().await;
    for (codings, named) in [
        (&["br"][..], "`br`"),
        (&["Deflate"], "`deflate`"),
        (&["gzip, compress"], "`compress`"),
        (&["identity", "aes128gcm"], "`aes128gcm`"),
        (&["gzip, gzip, gzip, gzip, gzip"], "At most 4"),
        (&["gzip;level=9"], "no content coding"),
    ] {
        for sound in house.sound() {
            let headers: Vec<_> = codings.iter().map(|coding| ("content-encoding", *coding)).collect();
            let reply = house.ask(&sound, &headers, sound.body.clone()).await;
            let problem = reply.expect_problem(415, "unsupported_media_type");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(named) && detail.contains("gzip") && detail.contains("zstd"), "{problem}");
            assert_eq!(reply.header("accept-encoding"), "gzip, zstd");
        }
    }
    assert_eq!(house.stored().await, ["0", "0"]);
}

#[tokio::test]
async fn a_refused_media_type_does_not_speak_of_codings() {
    let house = House::start().await;
    let sound = Sound { media_type: "text/plain", ..post(&house) };
    let reply = house.ask(&sound, &[], sound.body.clone()).await;
    reply.expect_problem(415, "unsupported_media_type");
    assert_eq!(reply.header("accept-encoding"), "");
}

#[tokio::test]
async fn a_request_without_a_body_has_nothing_to_decode() {
    let house = House::start().await;
    for coding in ["gzip", "br"] {
        let request = house.app.request(reqwest::Method::GET, "/v1/me").bearer(&house.user.viewer);
        request.header("content-encoding", coding).send().await.expect_ok();
    }
}

#[tokio::test]
async fn bombs_inside_of_bombs_are_refused() {
    // Ten seconds are short for the code of a test, which nobody has optimised.
    let app = TestApp::start_with(|settings| settings.request_deadline = Duration::from_mins(2)).await;
    let house = House::furnish(app).await;
    let spaces = vec![b' '; 64 * 1024 * 1024];
    let buckets = json!({"buckets": [bucket("m", 1)]}).to_string().into_bytes();
    // Few members with long names, and many that are as short as can be: each has nothing in it.
    let named = GzBuilder::new().filename(vec![b'n'; 1000]).write(Vec::new(), Compression::fast()).finish().unwrap();
    for (codings, bomb) in [
        ("gzip, gzip", gzip(&gzip(&spaces))),
        ("zstd, gzip, zstd", zstd(&gzip(&zstd(&spaces)))),
        ("gzip, gzip", gzip(&named.repeat(17_000))),
        ("gzip, gzip", gzip(&[gzip(b"").repeat(850_000), gzip(&buckets)].concat())),
    ] {
        assert!(bomb.len() < 1024 * 1024, "{}", bomb.len());
        send(&house, &[codings], bomb).await.expect_problem(413, "batch_too_large");
    }
    assert_eq!(house.stored().await, ["0", "0"]);
}
