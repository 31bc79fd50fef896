//! UTF-8 with a mark before it is read, and other encodings are refused by name.

use serde_json::json;

use super::{House, STREAM, gzip};

const MARK: &[u8] = b"\xef\xbb\xbf";

fn wide(text: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    str::from_utf8(text).unwrap().encode_utf16().flat_map(bytes).collect()
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_on_every_route_plain_and_compressed() {
    for coding in ["identity", "gzip"] {
        let house = House::start().await;
        for sound in house.sound() {
            let marked = [MARK, &sound.body].concat();
            let body = if coding == "gzip" { gzip(&marked) } else { marked };
            let reply = house.ask(&sound, &[("content-encoding", coding)], body).await;
            assert!(reply.status < 300, "{} {coding}: {}", sound.path, reply.json);
            assert!(sound.path != STREAM || reply.json["poisoned"] == 0, "{}", reply.json);
        }
        assert_eq!(house.stored().await, ["1", "1"]);
    }
}

#[tokio::test]
async fn files_with_marks_that_became_one_are_read_line_by_line() {
    let house = House::start().await;
    let file = |model: &str| [MARK, &house.line(model, 1), b"\r\n"].concat();
    let body = [file("a"), file("b"), file("c")].concat();
    let (status, job, _) = house.send(STREAM, "key", "identity", body, 5).await;
    assert_eq!((status, &job["progress"]["total"], &job["poisoned"]), (201, &json!(3), &json!(0)), "{job}");
}

#[tokio::test]
async fn a_second_mark_is_not_skipped() {
    let house = House::start().await;
    let sound = house.sound().remove(0);
    let body = [MARK, MARK, &sound.body].concat();
    house.ask(&sound, &[], body).await.expect_problem(400, "malformed");
}

#[tokio::test]
async fn utf_16_and_utf_32_are_named_on_every_route() {
    let house = House::start().await;
    for sound in house.sound() {
        let wider = str::from_utf8(&sound.body).unwrap().chars().flat_map(|letter| u32::from(letter).to_le_bytes());
        for (body, name) in [
            (wide(&sound.body, u16::to_le_bytes), "UTF-16"),
            (wide(&sound.body, u16::to_be_bytes), "UTF-16"),
            ([&b"\xff\xfe"[..], &wide(&sound.body, u16::to_le_bytes)].concat(), "UTF-16"),
            ([&b"\xfe\xff"[..], &wide(&sound.body, u16::to_be_bytes)].concat(), "UTF-16"),
            (wider.collect(), "UTF-32"),
        ] {
            let reply = house.ask(&sound, &[], body).await;
            let problem = reply.expect_problem(400, "malformed");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(name) && detail.contains("UTF-8"), "{}: {problem}", sound.path);
        }
    }
    assert_eq!(house.stored().await, ["0", "0"]);
}
