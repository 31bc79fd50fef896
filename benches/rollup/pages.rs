//! (e) What pages weigh and how many statements they take, and (f) how long people wait for them. Everybody who looks has
//! the demo's year. Pages are found by following links.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{ACCEPT_ENCODING, COOKIE, HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;
use tokio::task::JoinSet;

use super::Plan;
use super::rollups::Rollups;
use super::support::installation::{Cluster, Installation};
use super::support::load::{Schedule, Window, percentile};
use super::support::table::{Table, median, milliseconds, progress};

/// People who look at once, each at a year of their own.
const VIEWERS: usize = 16;
/// The first screen, with all that it loads.
const MOST_BYTES: usize = 100 * 1024;
/// What else the server does while a page is asked for must not be counted, so the least of so many counts.
const COUNTED: usize = 11;
/// By when statements of a page that was answered stand in the log.
const WRITTEN_WITHIN: Duration = Duration::from_millis(30);

/// A person who is signed in on a browser.
#[derive(Clone, Debug)]
struct Reader {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

/// A page as it came over the wire.
struct Received {
    /// With its head.
    bytes: usize,
    text: String,
}

impl Reader {
    async fn sign_in(on: &Installation, viewer: &str) -> anyhow::Result<Self> {
        // The client speaks plain HTTP only, but is built with TLS because another crate asks for it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(30)).build()?;
        let url = format!("http://{}", on.server.address);
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", viewer).finish();
        let request = client.post(format!("{url}/sign-in")).header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await?;
        let cookie = answer.headers().get(SET_COOKIE).context("nobody was signed in")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { client, url, cookie })
    }

    /// How many bytes come, in a coding.
    async fn weigh(&self, path: &str, coding: &str) -> anyhow::Result<usize> {
        let request = self.client.get(format!("{}{path}", self.url)).header(COOKIE, &self.cookie);
        let answer = request.header(ACCEPT_ENCODING, coding).send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        let head = head_length(answer.headers());
        Ok(head + answer.bytes().await?.len())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Received> {
        let request = self.client.get(format!("{}{path}", self.url)).header(COOKIE, &self.cookie);
        let answer = request.send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        let head = head_length(answer.headers());
        let text = answer.text().await?;
        Ok(Received { bytes: head + text.len(), text })
    }
}

/// As it is written by HTTP/1.1.
fn head_length(headers: &HeaderMap) -> usize {
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    "HTTP/1.1 200 OK\r\n\r\n".len() + lines.sum::<usize>()
}

/// Has the viewers signed in, each with the demo's year.
async fn viewers(on: &Installation, plan: &Plan) -> anyhow::Result<Vec<Reader>> {
    progress(format_args!("filling the demo's year in, for {VIEWERS} people, and {} strangers", plan.strangers));
    let made = on.command().args(["demo", "--url", &format!("http://{}", on.server.address)]).output()?;
    ensure!(made.status.success(), "no demo: {}", String::from_utf8_lossy(&made.stderr));
    let mut rollups = Rollups::connect(&on.database).await?;
    rollups.fill_viewers(on.devices.iter().take(VIEWERS).map(|device| device.user_id).collect()).await?;
    rollups.fold_all().await?;
    rollups.fill_strangers(plan.strangers).await?;
    readers(on).await
}

async fn readers(on: &Installation) -> anyhow::Result<Vec<Reader>> {
    let mut readers = Vec::new();
    for device in on.devices.iter().take(VIEWERS) {
        readers.push(Reader::sign_in(on, &device.viewer).await?);
    }
    Ok(readers)
}

/// Where the elements of a page of one kind lead, as far as that is a path here.
fn led_to<'page>(page: &'page str, opening: &str, attribute: &str) -> impl Iterator<Item = String> {
    let elements = page.split(opening).skip(1).filter_map(|rest: &'page str| rest.split('>').next());
    let targets = elements.filter_map(move |element| element.split(attribute).nth(1)?.split('"').next());
    let targets = targets.filter(|target| target.starts_with('/'));
    targets.map(|target| target.replace("&#38;", "&").replace("&amp;", "&"))
}

/// The first page of each path that links lead to, the first screen first.
async fn pages(reader: &Reader) -> anyhow::Result<Vec<String>> {
    let mut waiting = VecDeque::from(["/".to_owned()]);
    let mut paths = HashSet::from(["/docs".to_owned()]);
    let mut pages = Vec::new();
    while let Some(target) = waiting.pop_front() {
        if !paths.insert(target.split('?').next().unwrap_or_default().to_owned()) {
            continue;
        }
        let received = reader.get(&target).await?;
        waiting.extend(led_to(&received.text, "<a ", "href=\""));
        pages.push(target);
    }
    Ok(pages)
}

/// (e) Bytes over the wire and statements of every page.
pub async fn weight(cluster: &Cluster, on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let reader = viewers(on, plan).await?.swap_remove(0);
    let pages = pages(&reader).await?;
    let first = reader.get("/").await?;
    let mut assets: BTreeSet<String> = led_to(&first.text, "<link ", " href=\"").collect();
    assets.extend(led_to(&first.text, "<script ", "src=\""));
    for coding in ["zstd", "gzip"] {
        let mut loaded = 0;
        for asset in &assets {
            loaded += reader.weigh(asset, coding).await?;
        }
        for page in &pages {
            let document = reader.weigh(page, coding).await?;
            let measure = format!("(e) {page} by {coding}: the document, and with all that it loads");
            let wanted = if page == "/" { "<= 100 KiB" } else { "" };
            table.note(measure, format!("{}, {}", kibibytes(document), kibibytes(document + loaded)), wanted);
            ensure!(page != "/" || document + loaded <= MOST_BYTES, "the first screen is too heavy");
        }
        table.note(format!("(e) style, script and icon by {coding}, kept for good"), kibibytes(loaded), "");
    }
    table.note("(e) / not compressed", kibibytes(first.bytes), "");
    let name = on.database.get_database().unwrap_or_default().to_owned();
    on.admin.run(format!("alter database {name} set log_min_duration_statement = 0")).await?;
    on.restart_server().await?;
    let reader = readers(on).await?.swap_remove(0);
    let log = cluster.log();
    for page in &pages {
        let mut counted = Vec::new();
        for _ in 0..COUNTED {
            counted.push(statements(&log, &reader, page).await?);
        }
        let (all, own) = counted.into_iter().min().unwrap_or_default();
        table.note(format!("(e) {page}: statements, and those of them that read tables"), format!("{all}, {own}"), "");
    }
    on.admin.run(format!("alter database {name} reset log_min_duration_statement")).await?;
    on.restart_server().await
}

/// How many statements ran while a page was asked for, and how many of them are files of the product.
async fn statements(log: &Path, reader: &Reader, page: &str) -> anyhow::Result<(usize, usize)> {
    let start = usize::try_from(std::fs::metadata(log)?.len())?;
    reader.get(page).await?;
    tokio::time::sleep(WRITTEN_WITHIN).await;
    let written = std::fs::read(log)?;
    let written = String::from_utf8_lossy(&written[start..]);
    let ran = |line: &str| line.contains(" ms  execute ") || line.contains(" ms  statement: ");
    let all: Vec<&str> = written.lines().filter(|line| ran(line)).collect();
    // Each file of the product opens with why it is there.
    let own = all.iter().filter(|line| line.contains(": -- ")).count();
    Ok((all.len(), own))
}

fn kibibytes(bytes: usize) -> String {
    format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024)
}

/// (f) How long the document of each page takes: sixteen people who open one a second each, and sixteen who open the next one
/// as soon as they have one.
pub async fn wait(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let is_filled = on.admin.number("select count(*) from account.user where name = 'demo'").await? > 0;
    let readers = if is_filled { readers(on).await? } else { viewers(on, plan).await? };
    let each_second = f64::from(u32::try_from(VIEWERS)?);
    // Everybody follows links of their own: devices are not shared.
    let mut followed = Vec::new();
    for reader in &readers {
        followed.push(pages(reader).await?.into_iter());
    }
    while let Some(targets) = followed.iter_mut().map(Iterator::next).collect::<Option<Vec<String>>>() {
        let page = &targets[0];
        for (rate, load, wanted) in [
            (Some(each_second), "each opens one a second", "p99 <= 50 ms"),
            (None, "each opens the next one at once", ""),
        ] {
            let (mut p50, mut p99, mut count) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..plan.rounds {
                let times = look(&readers, &targets, rate, plan.window).await?;
                p50.push(percentile(&times, 50));
                p99.push(percentile(&times, 99));
                count.push(times.len());
            }
            let least = p99.iter().copied().min().unwrap_or_default();
            let [p50, p99, least] = [median(p50), median(p99), least].map(milliseconds);
            let per_second = f64::from(u32::try_from(median(count))?) / plan.window.measured.as_secs_f64();
            let measure = format!(
                "(f) {page}, {VIEWERS} viewers, {load}: p50, p99, p99 of the least disturbed run; pages a second"
            );
            table.note(measure, format!("{p50}, {p99}, {least}; {per_second:.0}"), wanted);
        }
    }
    Ok(())
}

/// How long every document within the window took, to its last byte, sorted. Each reader opens its own target.
async fn look(
    readers: &[Reader],
    targets: &[String],
    rate: Option<f64>,
    window: Window,
) -> anyhow::Result<Vec<Duration>> {
    for (reader, page) in readers.iter().zip(targets) {
        reader.weigh(page, "zstd").await?;
    }
    let schedule = Schedule::begin(window, rate);
    let mut people = JoinSet::new();
    for (reader, page) in readers.iter().zip(targets) {
        let (reader, schedule, page) = (reader.clone(), schedule.clone(), page.clone());
        people.spawn(async move {
            let mut times = Vec::new();
            while let Some(due) = schedule.next().await {
                reader.weigh(&page, "zstd").await?;
                times.extend(schedule.took_since(due));
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(part) = people.join_next().await {
        times.extend(part??);
    }
    times.sort_unstable();
    Ok(times)
}
