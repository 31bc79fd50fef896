//! `price` beside a running server, which brings a book and puts it in force by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::recent;
use crate::support::{Home, Server};

/// The reply that is in the book, once the server has put it in force and has folded.
async fn priced(server: &Server, viewer: &str, book: i32) -> Value {
    let since = Instant::now();
    loop {
        let reply = server.get(viewer, "/v1/rollups").await.json;
        if reply["prices"]["book"] == book && reply["pending"] == false && reply["totals"]["bucket_count"] == 2 {
            return reply;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{reply}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_server_with_a_postgresql_of_its_own_begins_with_the_prices_of_its_release() {
    let home = Home::new();
    let server = home.serve().await;
    let device = home.device_token();
    for model in ["gpt-4.1", "nobody-knows-me"] {
        let mut body = recent(model, 1_000_000);
        body["buckets"][0]["source"] = "codex".into();
        assert_eq!(server.try_post(&device, &body).await.unwrap().status, 200);
    }
    let reply = priced(&server, &home.viewer_token(), 1).await;
    let cost = json!({"amount": "2", "amount_high": "2", "priced_tokens": 1_000_000, "unpriced_tokens": 1_000_000,
        "complete": false});
    assert_eq!(reply["totals"]["cost"], cost);

    let books = home.json(&["price", "list"]);
    assert_eq!((books.as_array().unwrap().len(), &books[0]["imported_by"]), (1, &json!("server")));
    assert!(books[0]["in_force_since"].is_string() && books[0]["dated"] == "2026-11-28", "{books}");
    assert_eq!(home.json(&["price", "import"])["book"], 1, "that is the same book");
    let shown = home.json(&["price", "show", "codex", "gpt-4.1"]);
    assert_eq!((&shown["sku"], &shown["rates"][0]["per_mtok"]["input"]), (&json!("openai/gpt-4.1"), &json!("2")));
    let words = home.run(&["price", "show", "codex", "gpt-4.11"]).stdout;
    assert_eq!(words, "gpt-4.11 of codex has no price: unknown_model.\n");
    let uncovered = json!([{"source": "codex", "model": "nobody-knows-me", "tokens": 1_000_000, "users": 1}]);
    assert_eq!(home.json(&["price", "coverage"]), uncovered);

    // Everything that there is, and one model more.
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/src/app/price_book_1/prices.csv");
    let file = home.path().join("prices.csv");
    std::fs::write(&file, std::fs::read_to_string(shipped).unwrap()).unwrap();
    let refused = home.run(&["price", "import", file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "without its variants the book prices less: {refused:?}");
    assert_eq!(home.run(&["price", "diff", "1", "1"]).stdout.trim(), "");
    for (arguments, word) in [
        (&["price", "use", "7", "--reason", "x"][..], "no price book 7"),
        (&["price", "diff", "1", "2"], "no price book 2"),
        (&["price", "show", "Codex", "m"], "source"),
        (&["price", "import", "/nowhere.csv"], "nowhere"),
    ] {
        let said = home.run(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(word), "{said:?}");
    }
    assert_eq!(home.json(&["price", "use", "1", "--reason", "again"]), json!({"book": 1, "changed": false}));
    server.stop().await;
}
