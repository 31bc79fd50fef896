//! In which protocol each device reported last, and when. Posts only note it in memory, and a worker writes it down now and
//! then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::access::Device;
use crate::kernel::clock::Clock;

/// Devices remembered between two writings; what reports beyond that is written down the next time it does.
const CAPACITY: usize = 50_000;

/// That a device has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The owner.
    pub user_id: Uuid,
    /// The device.
    pub device_id: Uuid,
    /// The protocol, by the name of the product.
    pub speaks: &'static str,
    /// When.
    pub heard_at: DateTime<Utc>,
}

/// Clones share what they remember.
#[derive(Clone, Debug)]
pub struct HeardDevices {
    clock: Clock,
    heard: Arc<Mutex<HashMap<Uuid, Heard>>>,
}

impl HeardDevices {
    /// Nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, heard: Arc::default() }
    }

    /// This device reports now.
    pub fn note(&self, device: &Device, speaks: &'static str) {
        let (user_id, device_id, heard_at) = (device.user_id(), device.device_id(), self.clock.now());
        self.give_back([Heard { user_id, device_id, speaks, heard_at }]);
    }

    /// Everything noted so far, which is forgotten here.
    pub fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }

    /// Remembers it, where nothing newer is known: also again, where it could not be written down.
    pub fn give_back(&self, more: impl IntoIterator<Item = Heard>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for new in more {
            if heard.len() < CAPACITY || heard.contains_key(&new.device_id) {
                let known = heard.entry(new.device_id).or_insert(new);
                if known.heard_at < new.heard_at {
                    *known = new;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(device: u128, speaks: &'static str, seconds: i64) -> Heard {
        let heard_at = DateTime::from_timestamp_secs(seconds).unwrap();
        Heard { user_id: Uuid::nil(), device_id: Uuid::from_u128(device), speaks, heard_at }
    }

    #[test]
    fn the_last_report_counts_and_what_is_given_back_does_not_hide_what_is_newer() {
        let devices = HeardDevices::new(Clock::fixed(DateTime::UNIX_EPOCH));
        devices.give_back([
            heard(1, "vibeusage", 5),
            heard(1, "halfhour", 9),
            heard(1, "vibeusage", 7),
            heard(2, "x", 1),
        ]);
        let mut taken = devices.take();
        taken.sort_unstable_by_key(|heard| heard.device_id);
        assert_eq!(taken, [heard(1, "halfhour", 9), heard(2, "x", 1)]);
        assert_eq!(devices.take(), []);
    }

    #[test]
    fn memory_is_bounded_however_many_devices_report() {
        let devices = HeardDevices::new(Clock::fixed(DateTime::UNIX_EPOCH));
        devices.give_back((0..CAPACITY as u128 + 10).map(|device| heard(device, "x", 1)));
        devices.give_back([heard(0, "y", 2)]);
        let taken = devices.take();
        assert_eq!((taken.len(), taken.contains(&heard(0, "y", 2))), (CAPACITY, true));
    }
}
