//! Jobs in words, for people at a terminal.

use crate::features::backfill::{Job, PriceEffect, Repricing, Resolve};

/// A job on one line.
pub fn line(job: &Job) -> String {
    let (action, state, reason) = (job.action.as_str(), job.state.as_str(), &job.reason);
    format!("{}  {action:6}  {state:12}  {}/{}  {reason}", job.job_id, job.done, job.phase_total())
}

/// A job, with what it changes.
pub fn words(job: &Job) -> String {
    let mut words = vec![line(job), format!("version {}", job.version)];
    let diff = &job.diff;
    if diff.inserted + diff.raised + diff.lowered + diff.changed + diff.unchanged > 0 {
        words.push(format!(
            "inserts {}, raises {}, lowers {}, changes {}, leaves {} as they are; {} tokens become {}",
            diff.inserted,
            diff.raised,
            diff.lowered,
            diff.changed,
            diff.unchanged,
            diff.tokens_before,
            diff.tokens_after
        ));
    }
    if let Some(merge) = &job.merge {
        words.push(format!(
            "{} only in {}, {} only in {}, {} in both and equal, {} in both and different ({})",
            merge.only_in_from,
            merge.order.from_device_id,
            merge.only_in_into,
            merge.order.into_device_id,
            merge.equal,
            merge.different,
            merge.order.resolve.map_or("not resolved", Resolve::as_str)
        ));
    }
    words.extend(job.repricing.iter().map(prices));
    if job.poisoned + job.skipped > 0 {
        words.push(format!("{} poisoned, {} skipped", job.poisoned, job.skipped));
    }
    words.extend(job.drift.as_ref().map(|drift| format!("drift: {drift}")));
    words.join("\n")
}

/// What a price book changes, in all and line by line.
fn prices(Repricing { book, former_book, diff }: &Repricing) -> String {
    let shown =
        |amount: &Option<String>| amount.as_ref().map_or_else(|| "no price".to_owned(), |usd| format!("{usd} USD"));
    let former = former_book.map_or_else(|| "no price book".to_owned(), |former| format!("price book {former}"));
    let mut words = vec![format!("from {former} to {book}")];
    let Some(diff) = diff else { return words.remove(0) };
    let line = |what: &str, effect: &PriceEffect| {
        format!(
            "{what}: {} tokens of {} users on {} days, {} become {}; {} tokens get a price, {} lose it",
            effect.tokens,
            effect.users,
            effect.user_days,
            shown(&effect.usd_before),
            shown(&effect.usd_after),
            effect.newly_priced_tokens,
            effect.newly_unpriced_tokens,
        )
    };
    words.push(line("in all", &diff.totals));
    words.extend(diff.lines.iter().map(|part| line(&format!("{} {}", part.month, part.sku), &part.effect)));
    if diff.lines_left_out > 0 {
        words.push(format!("and {} lines more", diff.lines_left_out));
    }
    words.join("\n")
}
