//! What is special about a reprice: how it is planned, and how its book is put in force and taken back. Its users are then
//! moved by the relay, one event and one transaction each, so that no reply mixes two books.
//!
//! The book is in force from the execution on. Until a user's turn comes, replies are in the book before and say so. The way
//! back is the same with the former book, which still says what it said.
//!
//! Of two reprices that were planned beside each other one is executed: the other one finds another book in force.

mod store;

use uuid::Uuid;

use super::repricing::{PriceDoors, Repricing};
use crate::kernel::database::Tx;
use crate::kernel::problem::{Code, Problem, Violation};

/// Finds out what a book changes, and keeps that with the job. Errors: 422 where there is no such book; the database's.
pub async fn plan(tx: &mut Tx, doors: &PriceDoors, job_id: Uuid, book: i32) -> Result<(), Problem> {
    let (is_known, former) = store::find_book(tx, book).await?;
    if !is_known {
        let detail = format!("There is no price book {book}; GET /v1/price-books lists them.");
        return Err(Problem::invalid(vec![Violation::new("/book", "unknown_book", detail)]));
    }
    let diff = doors.compare(tx, former, book).await?;
    store::complete_reprice(tx, job_id, former, &serde_json::to_value(&diff).map_err(Problem::internal)?).await
}

/// Puts the book in force. Errors: `plan_stale` where another one is in force than when it was planned; the database's.
pub async fn begin(tx: &mut Tx, doors: &PriceDoors, repricing: &Repricing) -> Result<(), Problem> {
    if doors.replace(tx, repricing.former_book, Some(repricing.book)).await? {
        return Ok(());
    }
    let detail = "Another price book is in force by now than when it was planned; make a new plan.";
    Err(Problem::new(Code::PlanStale, detail))
}

/// Puts the former book in force again, if it is not. Errors: 409 where a third one is in force; the database's.
pub async fn take_back(tx: &mut Tx, doors: &PriceDoors, repricing: &Repricing) -> Result<(), Problem> {
    let former = repricing.former_book;
    if doors.replace(tx, Some(repricing.book), former).await? || doors.replace(tx, former, former).await? {
        return Ok(());
    }
    let detail =
        "Another price book was put in force since; roll that back first, or plan a reprice to the former book.";
    Err(Problem::new(Code::Conflict, detail))
}

/// Whether somebody has put another book in force than the one that a phase wants.
pub async fn is_superseded(tx: &mut Tx, repricing: &Repricing, is_taken_back: bool) -> Result<bool, Problem> {
    let (_, in_force) = store::find_book(tx, repricing.book).await?;
    Ok(in_force != repricing.wanted(is_taken_back))
}
