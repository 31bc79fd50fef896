//! Nothing configured: a private database, tokens for a newcomer, and one server at a time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::http::recent;
use crate::processes::working_in;
use crate::support::Home;

#[tokio::test]
async fn a_first_start_serves_and_its_credentials_post_and_read() {
    let home = Home::new();
    let server = home.serve().await;
    assert_eq!(home.credential("HALFHOUR_URL"), server.url);
    let posted = server.post(&home.device_token(), &recent("gpt-5.2-codex", 1234)).await;
    assert_eq!(posted["verdicts"], json!(["inserted"]));
    // Nobody folds on demand here: the server does it by itself.
    let rollups = server.folded(&home.viewer_token(), "/v1/rollups?group_by=model&group_by=device").await;
    assert_eq!(rollups["totals"]["input_tokens"], 1234);
    let result = &rollups["data"][0]["results"][0];
    assert_eq!(result["model"], "gpt-5.2-codex");
    assert_eq!(result["device"], home.credential("HALFHOUR_DEVICE_ID"));
    assert_eq!(server.get("", "/health/ready").await.status, 200);

    if cfg!(target_os = "linux") {
        assert!(working_in(&home.data_dir()).len() > 1, "the look at processes sees nothing");
    }
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn what_is_secret_is_closed_to_other_users() {
    let home = Home::new();
    let server = home.serve().await;
    let mode = |name: &str| fs::metadata(home.data_dir().join(name)).unwrap().permissions().mode() & 0o7777;
    for name in ["credentials.env", "secret.key", "postgres.password", "server.lock", "postgres.log"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(mode("postgres"), 0o700);
    let socket_dir = home.postmaster().socket_dir;
    assert_eq!(fs::metadata(socket_dir).unwrap().permissions().mode() & 0o7777, 0o700);
    server.stop().await;
}

#[tokio::test]
async fn a_second_server_of_a_directory_is_refused_by_name_and_the_first_serves_on() {
    let home = Home::new();
    let first = home.serve().await;
    let url = home.credential("HALFHOUR_URL");
    let said = home.run(&["serve"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.stderr.contains(&first.pid().to_string()), "{said:?}");
    assert!(said.stderr.contains("data"), "{said:?}");
    assert_eq!(home.credential("HALFHOUR_URL"), url);
    first.post(&home.device_token(), &recent("m", 1)).await;
    first.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_the_tokens_and_writes_down_the_new_address() {
    let home = Home::new();
    let first = home.serve().await;
    let (device, viewer) = (home.device_token(), home.viewer_token());
    first.post(&device, &recent("m", 7)).await;
    first.stop().await;

    let second = home.serve().await;
    assert_eq!(home.credential("HALFHOUR_URL"), second.url);
    assert_eq!((home.device_token(), home.viewer_token()), (device.clone(), viewer.clone()));
    second.post(&device, &recent("n", 8)).await;
    assert_eq!(second.folded(&viewer, "/v1/rollups").await["totals"]["input_tokens"], 15);
    second.stop().await;
    home.assert_nothing_left();
}

/// What a browser is shown at the end of a link.
async fn shown(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_first_start_and_a_command_print_links_that_sign_in_here() {
    let home = Home::new();
    let server = home.serve().await;
    let linked = home.json(&["open"])["url"].as_str().unwrap().to_owned();
    assert!(linked.starts_with(&format!("{}/sign-in?code=", server.url)), "{linked}");
    let (status, page) = shown(&linked).await;
    assert!(status == 200 && page.contains("Sign in as me"), "{page}");
    let printed = home.run(&["open", "--print"]);
    assert!(printed.stdout.starts_with(&format!("{}/sign-in?code=", server.url)), "{printed:?}");
    let refused = home.run(&["open", "--user", "nobody"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    let stderr = server.running.stderr();
    let first =
        stderr.lines().find_map(|line| line.strip_prefix("See your usage, within ten minutes and on one browser: "));
    let (status, page) = shown(first.unwrap_or_else(|| panic!("no link in {stderr}"))).await;
    assert!(status == 200 && page.contains("Sign in as me"), "{page}");
    server.stop().await;
    let again = home.serve().await;
    assert_eq!(again.get("", "/health/ready").await.status, 200);
    let stderr = again.running.stderr();
    assert!(!stderr.contains("/sign-in?code=") && stderr.contains("halfhour open"), "{stderr}");
    again.stop().await;
}
