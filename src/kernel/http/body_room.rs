//! How much of bodies this process holds at once.
//!
//! What is held is counted as it comes, decompressed. A body that only says how large it will be
//! takes nothing up. A quarter of the room is for the beginnings of bodies, so that small ones still
//! come in where large ones, or slow ones, have filled the rest. Room is given back when the last
//! one who reads the bytes drops them. [Why
//! so](../../../docs/decisions/0033-the-front-door.md).

use std::error::Error;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kernel::problem::{Code, Problem};

/// Room is given out in pieces of so many bytes.
const PIECE: usize = 16 * 1024;
/// So many bytes of each body are its beginning.
const BEGINNING: usize = 64 * 1024;
/// What a stream of lines holds: what is decompressed, and what a compressed one needs to look back at.
const STREAM: usize = 4 * 1024 * 1024;

/// The room of one process. Clones share it.
#[derive(Clone, Debug)]
pub struct BodyRoom {
    beginnings: Arc<Semaphore>,
    rest: Arc<Semaphore>,
}

impl Default for BodyRoom {
    fn default() -> Self {
        Self::new(64 * 1024 * 1024)
    }
}

impl BodyRoom {
    /// For so many bytes in all.
    pub fn new(bytes: usize) -> Self {
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(bytes / PIECE));
        Self { beginnings: semaphore(bytes / 4), rest: semaphore(bytes - bytes / 4) }
    }

    /// A place for a body of which nothing was read yet. Errors: 503 where there is no room for its beginning.
    pub fn begin(&self) -> Result<HeldRoom, Problem> {
        let mut held = HeldRoom { room: self.clone(), beginning: None, rest: None };
        held.grow_to(1)?;
        Ok(held)
    }

    /// A place for a stream of lines, whose length does not matter. Errors: 503.
    pub fn begin_stream(&self) -> Result<HeldRoom, Problem> {
        let mut held = self.begin()?;
        held.grow_to(STREAM)?;
        Ok(held)
    }
}

/// The room that one body takes up.
#[derive(Debug)]
pub struct HeldRoom {
    room: BodyRoom,
    beginning: Option<OwnedSemaphorePermit>,
    rest: Option<OwnedSemaphorePermit>,
}

impl HeldRoom {
    /// Makes sure of room for so many bytes in all. Errors: 503 where there is none. What was held stays held.
    fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let beginning = grow(&mut self.beginning, &self.room.beginnings, bytes.min(BEGINNING));
        // Where beginnings have filled their own part, they take from what is left of the other.
        let rest = if beginning { bytes.saturating_sub(BEGINNING) } else { bytes };
        if grow(&mut self.rest, &self.room.rest, rest) { Ok(()) } else { Err(full()) }
    }

    /// The bytes, which keep the room until nobody has them any more.
    fn keep(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _room: self })
    }
}

struct Kept {
    bytes: Bytes,
    _room: HeldRoom,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn grow(held: &mut Option<OwnedSemaphorePermit>, room: &Arc<Semaphore>, bytes: usize) -> bool {
    let needed = bytes.div_ceil(PIECE);
    let more = needed.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
    let Ok(more) = u32::try_from(more) else { return false };
    if more == 0 {
        return true;
    }
    let Ok(permit) = Arc::clone(room).try_acquire_many_owned(more) else { return false };
    match held {
        Some(held) => held.merge(permit),
        None => *held = Some(permit),
    }
    true
}

fn full() -> Problem {
    metrics::counter!("halfhour_body_refusals_total").increment(1);
    let detail = "This server holds as much of other requests' bodies as it can; nothing of this one was taken.";
    Problem::new(Code::Overloaded, detail)
}

/// Why a body could not be read whole.
#[derive(Debug)]
pub enum Unread {
    /// It has more bytes than it may have.
    TooLarge,
    /// There is no room for it.
    Full(Problem),
    /// It broke off, or could not be decompressed.
    Broken(Box<dyn Error + Send + Sync>),
}

/// Reads a body of at most `limit` bytes.
pub async fn read_whole(mut body: Body, limit: usize, room: &BodyRoom) -> Result<Bytes, Unread> {
    let mut held = room.begin().map_err(Unread::Full)?;
    // Pieces are copied together as they come, so that a body of tiny ones costs no more than any other. Memory is taken for
    // what came, and not for what is announced.
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|error| Unread::Broken(error.into()))?.into_data() else { continue };
        let length = whole.len() + piece.len();
        if length > limit {
            return Err(Unread::TooLarge);
        }
        held.grow_to(length).map_err(Unread::Full)?;
        if whole.is_empty() && body.is_end_stream() {
            return Ok(held.keep(piece));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(held.keep(whole.into()))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    const KIB: usize = 1024;

    fn body(pieces: &[usize]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|length| Ok::<_, std::io::Error>(vec![b'x'; *length])).collect();
        Body::from_stream(stream::iter(pieces))
    }

    fn free(room: &BodyRoom) -> (usize, usize) {
        (room.beginnings.available_permits() * PIECE, room.rest.available_permits() * PIECE)
    }

    async fn read(room: &BodyRoom, length: usize) -> Result<Bytes, Unread> {
        read_whole(Body::from(vec![b'x'; length]), KIB * KIB, room).await
    }

    #[tokio::test]
    async fn large_bodies_leave_room_for_small_ones_and_give_theirs_back() {
        let room = BodyRoom::new(1024 * KIB);
        let mut held = Vec::new();
        while let Ok(bytes) = read(&room, 300 * KIB).await {
            held.push(bytes);
        }
        assert_eq!(held.len(), 3, "{:?}", free(&room));
        assert!(
            matches!(read(&room, 200 * KIB).await, Err(Unread::Full(problem)) if problem.code() == Code::Overloaded)
        );
        for _ in 0..4 {
            held.push(read(&room, 10 * KIB).await.unwrap());
        }
        let slice = held[0].slice(5..10);
        held.clear();
        assert!(read(&room, 700 * KIB).await.is_err(), "a part of the first one is still read");
        drop(slice);
        assert_eq!(free(&room), (256 * KIB, 768 * KIB));
        assert_eq!(read(&room, 800 * KIB).await.unwrap().len(), 800 * KIB);
    }

    #[tokio::test]
    async fn a_body_that_says_that_it_is_large_takes_nothing_up_before_it_comes() {
        let room = BodyRoom::new(256 * KIB);
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let room = room.clone();
                tokio::spawn(async move {
                    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
                    read_whole(never, 1 << 30, &room).await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(free(&room).1, 192 * KIB);
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        for task in waiting {
            let _ = task.await;
        }
        assert_eq!(free(&room), (64 * KIB, 192 * KIB), "who goes away gives everything back");
    }

    proptest! {
        #[test]
        fn whatever_the_pieces_a_body_is_read_whole_up_to_the_limit_and_the_room_is_free_again(
            pieces in prop::collection::vec(0_usize..40_000, 0..12), limit in 1_usize..200_000,
        ) {
            let room = BodyRoom::new(1 << 20);
            let before = free(&room);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(read_whole(body(&pieces), limit, &room));
            let length: usize = pieces.iter().sum();
            match read {
                Ok(bytes) => prop_assert!(bytes.len() == length && length <= limit),
                Err(Unread::TooLarge) => prop_assert!(length > limit),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
            prop_assert_eq!(free(&room), before);
        }
    }
}
