//! Bodies of several gzip members or zstd frames are the same as plain ones, or are refused.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::{House, STREAM, bucket, gzip, zstd};

const MEBIBYTE: usize = 1024 * 1024;

/// Flags of a gzip header that mean nothing yet, by RFC 1952.
const RESERVED: u8 = 0xe0;

/// A body as it was and as it is sent.
#[derive(Clone, Debug)]
struct Cut {
    /// Whether it is a stream of lines.
    streams: bool,
    coding: &'static str,
    members: Vec<Vec<u8>>,
    /// How it is sent.
    size: usize,
}

impl Cut {
    fn path(&self) -> &'static str {
        if self.streams { STREAM } else { "/v1/buckets" }
    }

    fn plain(&self) -> Vec<u8> {
        self.members.concat()
    }

    /// Where the flags of each member's header stand in the coded body, for gzip.
    fn flags(&self) -> Vec<usize> {
        let lengths = self.members.iter().map(|member| gzip(member).len());
        let starts = lengths.scan(0, |end, length| {
            let start = *end;
            *end += length;
            Some(start)
        });
        starts.map(|start| start + 3).collect()
    }

    fn coded(&self) -> Vec<u8> {
        let code = if self.coding == "zstd" { zstd } else { gzip };
        self.members.iter().flat_map(|member| code(member)).collect()
    }
}

/// Any body, cut anywhere into one to six members, of which some may be empty.
fn cut(lines: Vec<u8>) -> impl Strategy<Value = Cut> {
    let buckets = vec(("[a-z]{1,12}", 0..1_000_000_u64), 0..8);
    let body = (any::<bool>(), buckets).prop_map(move |(streams, buckets)| {
        let post = buckets.iter().map(|(model, tokens)| bucket(model, *tokens)).collect::<Vec<_>>();
        let post = json!({"buckets": post}).to_string().into_bytes();
        (streams, if streams { lines.repeat(buckets.len() + 1) } else { post })
    });
    let cuts = (vec(any::<Index>(), 0..6), select(&["gzip", "zstd"][..]), select(&[1, 2, 7, 100, usize::MAX][..]));
    (body, cuts).prop_map(|((streams, body), (places, coding, size))| {
        let mut places: Vec<usize> = places.iter().map(|place| place.index(body.len() + 1)).collect();
        places.sort_unstable();
        let ends = places.iter().copied().chain([body.len()]);
        let starts = [0].into_iter().chain(places.iter().copied());
        let members = starts.zip(ends).map(|(start, end)| body[start..end].to_vec()).collect();
        Cut { streams, coding, members, size }
    })
}

fn check<S: Strategy>(
    cases: u32,
    strategy: &S,
    house: &House,
    law: &impl AsyncFn(&House, S::Value) -> Result<(), TestCaseError>,
    runtime: &tokio::runtime::Runtime,
) {
    let config = ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..Default::default() };
    let result = TestRunner::new(config).run(strategy, |value| runtime.block_on(law(house, value)));
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn any_body_in_any_number_of_members_is_the_body_itself() {
    let runtime = runtime();
    let house = runtime.block_on(House::start());
    let line = [house.line("m", 1), b"\n".to_vec()].concat();
    // A key tells bodies from each other: what differs in one byte is another request.
    let law = async |house: &House, cut: Cut| {
        let key = uuid::Uuid::now_v7().to_string();
        let (status, reply, replayed) = house.send(cut.path(), &key, cut.coding, cut.coded(), cut.size).await;
        prop_assert!(status < 300 && !replayed, "{status} {reply}");
        let (again, plain, replayed) = house.send(cut.path(), &key, "identity", cut.plain(), usize::MAX).await;
        prop_assert!(again == status && replayed, "it was read as another body: {again} {plain}");
        if cut.streams {
            let lines = plain["progress"]["total"].as_u64().unwrap() + plain["poisoned"].as_u64().unwrap();
            let expected = String::from_utf8_lossy(&cut.plain()).matches('\n').count();
            prop_assert_eq!(usize::try_from(lines).unwrap(), expected, "{}", plain);
        }
        Ok(())
    };
    check(150, &cut(line), &house, &law, &runtime);
}

#[test]
fn a_changed_cut_or_lengthened_body_is_refused_and_leaves_nothing() {
    #[derive(Clone, Debug)]
    enum Damage {
        Changed(Index, u8),
        Cut(Index),
        Lengthened(Vec<u8>),
    }
    let runtime = runtime();
    let house = runtime.block_on(House::start());
    let tails = vec![
        vec![0],
        vec![0; 512],
        b"\n".to_vec(),
        b"{}".to_vec(),
        vec![0x1f],
        vec![0x1f, 0x8b, 8],
        gzip(b"")[..12].to_vec(),
    ];
    let damage = prop_oneof![
        4 => (any::<Index>(), 1..=255_u8).prop_map(|(at, change)| Damage::Changed(at, change)),
        2 => any::<Index>().prop_map(Damage::Cut),
        1 => select(tails).prop_map(Damage::Lengthened),
    ];
    let cuts = cut(Vec::new()).prop_filter("a post", |cut| !cut.streams && cut.coding == "gzip");
    let law = async |house: &House, (cut, damage): (Cut, Damage)| {
        let mut coded = cut.coded();
        match damage {
            Damage::Changed(at, change) => {
                let at = at.index(coded.len());
                coded[at] ^= change;
            }
            Damage::Cut(at) => coded.truncate(at.index(coded.len())),
            Damage::Lengthened(tail) => coded.extend(tail),
        }
        // Some bytes say nothing of the content, such as the time in a header: another reader is the judge. It refuses
        // the flags that RFC 1952 reserves, and ours skips them, which the checksum of the content allows.
        let mut known = coded.clone();
        for at in cut.flags() {
            if let Some(flags) = known.get_mut(at) {
                *flags &= !RESERVED;
            }
        }
        let mut judged = Vec::new();
        let sound = MultiGzDecoder::new(&known[..]).read_to_end(&mut judged).is_ok() && judged == cut.plain();
        let before = house.stored().await;
        let key = uuid::Uuid::now_v7().to_string();
        let (status, reply, _) = house.send(cut.path(), &key, "gzip", coded, cut.size).await;
        if sound {
            prop_assert_eq!(status, 200, "{}", reply);
        } else {
            prop_assert_eq!((status, reply["code"].as_str()), (400, Some("malformed")), "{}", reply);
            prop_assert_eq!(house.stored().await, before, "it was refused and left something");
        }
        Ok(())
    };
    check(300, &(cuts, damage), &house, &law, &runtime);
}

#[tokio::test]
async fn flags_that_mean_nothing_yet_change_nothing_and_the_others_are_read() {
    let house = House::start().await;
    let post = json!({"buckets": [bucket("m", 1)]}).to_string().into_bytes();
    for flags in 0..=u8::MAX {
        let mut coded = gzip(&post);
        coded[3] = flags;
        // Each other flag but that of a text announces a field, which is not there.
        let sound = flags & !RESERVED <= 1;
        let (status, reply, _) = house.send("/v1/buckets", &flags.to_string(), "gzip", coded, usize::MAX).await;
        assert_eq!(status, if sound { 200 } else { 400 }, "{flags:#010b}: {reply}");
    }
    assert_eq!(house.stored().await[0], "1");
}

#[tokio::test]
async fn members_are_one_body_on_every_route_that_takes_one() {
    let house = House::start().await;
    for sound in house.sound() {
        let (start, end) = sound.body.split_at(sound.body.len() / 2);
        for (coding, body) in [
            ("gzip", [gzip(start), gzip(b""), gzip(end)].concat()),
            ("zstd", [zstd(start), zstd(b""), zstd(end)].concat()),
        ] {
            let half = if coding == "gzip" { gzip(start) } else { zstd(start) };
            let reply = house.ask(&sound, &[("content-encoding", coding)], half).await;
            assert!(sound.path == STREAM || reply.status == 400, "half a body at {}: {}", sound.path, reply.json);
            let reply = house.ask(&sound, &[("content-encoding", coding)], body).await;
            assert!(reply.status < 300 || reply.status == 409, "{} {}", sound.path, reply.json);
        }
        for tail in [&b"\0"[..], b"x", &gzip(b"x")[..10]] {
            let body = [&gzip(&sound.body), tail].concat();
            let reply = house.ask(&sound, &[("content-encoding", "gzip")], body).await;
            reply.expect_problem(400, "malformed");
        }
    }
}

#[tokio::test]
async fn ten_lines_in_ten_members_are_ten_rows() {
    let house = House::start().await;
    let lines = (0..10).flat_map(|at| gzip(&[house.line(&format!("m{at}"), 1), b"\n".to_vec()].concat())).collect();
    let (status, job, _) = house.send(STREAM, "key", "gzip", lines, usize::MAX).await;
    assert_eq!((status, &job["progress"]["total"], &job["poisoned"]), (201, &json!(10), &json!(0)), "{job}");
}

#[tokio::test]
async fn two_whole_posts_in_two_members_are_no_post() {
    let house = House::start().await;
    let post = json!({"buckets": [bucket("m", 1)]}).to_string().into_bytes();
    for (coding, body) in
        [("gzip", gzip(&post).repeat(2)), ("zstd", zstd(&post).repeat(2)), ("identity", post.repeat(2))]
    {
        let (status, reply, _) = house.send("/v1/buckets", coding, coding, body, usize::MAX).await;
        assert_eq!((status, &reply["code"]), (400, &json!("malformed")), "{coding}: {reply}");
    }
    assert_eq!(house.stored().await, ["0", "0"]);
}

#[tokio::test]
async fn a_stream_that_breaks_off_inside_of_a_member_plans_nothing() {
    let house = House::start().await;
    let member = gzip(&[house.line("m", 1), b"\n".to_vec()].concat());
    for cut in [1, 5, member.len() / 2, member.len() - 8, member.len() - 1] {
        let body = [&member[..], &member[..cut]].concat();
        let (status, reply, _) = house.send(STREAM, &cut.to_string(), "gzip", body, 3).await;
        assert_eq!((status, &reply["code"]), (400, &json!("malformed")), "{cut}: {reply}");
    }
    assert_eq!(house.stored().await, ["0", "0"]);
}

#[tokio::test]
async fn the_limit_holds_for_all_members_together_and_a_bomb_of_them_is_refused() {
    let house = House::start().await;
    let post = json!({"buckets": [bucket("m", 1)]}).to_string().into_bytes();
    let space = |length: usize| vec![b' '; length];
    let half = MEBIBYTE / 2;
    for (code, coding) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd")] {
        let fits = [code(&space(half)), code(&post), code(&space(half - post.len()))].concat();
        assert_eq!(house.send("/v1/buckets", coding, coding, fits.clone(), usize::MAX).await.0, 200);
        let one_more = [fits, code(b" ")].concat();
        for bomb in [one_more, code(&space(MEBIBYTE)).repeat(64)] {
            let (status, reply, _) = house.send("/v1/buckets", "key", coding, bomb, usize::MAX).await;
            assert_eq!((status, &reply["code"]), (413, &json!("batch_too_large")), "{coding}: {reply}");
        }
    }
}
