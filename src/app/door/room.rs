//! Room for connections: so many at once, and a few more for the probes of orchestrators.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What is left of the room.
#[derive(Debug)]
pub struct Room {
    places: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    wanted: Arc<Notify>,
}

/// A connection's place. Dropped, it is free again.
#[derive(Debug)]
pub struct Seat(Mutex<Kind>);

/// A place, by what may be answered there.
#[derive(Debug)]
enum Kind {
    /// Everything.
    Ordinary { _permit: OwnedSemaphorePermit },
    /// Probes.
    Reserved { _permit: OwnedSemaphorePermit },
}

impl Room {
    /// For so many connections, and `reserve` more.
    pub fn new(places: usize, reserve: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { places: semaphore(places), reserve: semaphore(reserve), wanted: Arc::new(Notify::new()) }
    }

    /// A place as soon as there is one, an ordinary one where possible.
    pub async fn place(&self) -> Seat {
        if self.places.available_permits() + self.reserve.available_permits() == 0 {
            self.make();
        }
        let ordinary = self.places.clone().acquire_owned();
        let reserved = self.reserve.clone().acquire_owned();
        // Neither semaphore is ever closed. The order is that of preference.
        let kind = tokio::select! {
            biased;
            Ok(permit) = ordinary => Kind::Ordinary { _permit: permit },
            Ok(permit) = reserved => Kind::Reserved { _permit: permit },
        };
        Seat(Mutex::new(kind))
    }

    /// Whether more than probes may be answered in this place. Where an ordinary one has become free, it is taken instead.
    pub fn is_ordinary(&self, place: &Seat) -> bool {
        let mut kind = place.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Kind::Reserved { .. } = *kind
            && let Ok(permit) = self.places.clone().try_acquire_owned()
        {
            *kind = Kind::Ordinary { _permit: permit };
        }
        matches!(*kind, Kind::Ordinary { .. })
    }

    /// Asks the connection that has been idle for longest to end.
    pub fn make(&self) {
        self.wanted.notify_one();
    }

    /// There is room again. A wish that found nobody idle asks nobody who comes later.
    pub fn is_made(&self) {
        let mut unmet = pin!(self.wanted.notified());
        let _was_unmet = unmet.as_mut().enable();
    }

    /// When this connection is asked to end. Whoever waits for longest is asked first.
    pub fn wanted(&self) -> OwnedNotified {
        self.wanted.clone().notified_owned()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Room;

    #[test]
    fn a_wish_that_found_nobody_idle_asks_nobody_who_comes_once_there_is_room() {
        let room = Room::new(1, 1);
        room.make();
        assert!(room.wanted().now_or_never().is_some(), "it waits for somebody");
        room.make();
        room.is_made();
        assert!(room.wanted().now_or_never().is_none());
        // Whoever is idle already is asked all the same.
        let mut idle = Box::pin(room.wanted());
        assert!(idle.as_mut().now_or_never().is_none());
        room.make();
        room.is_made();
        assert!(idle.now_or_never().is_some());
    }
}
