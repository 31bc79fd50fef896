//! What handlers are given.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::features::accounts::{Accounts, Persons};
use crate::features::backfill::Backfills;
use crate::features::dashboard_page::AccountDoor;
use crate::features::dashboard_rollup::UsageAnswers;
use crate::features::operations::{ProcessStatus, Readiness, Switchboard};
use crate::features::pricing::Books;
use crate::features::speaks_vibeusage::DeviceDoor;
use crate::kernel::access::{Authenticator, OperatorSessions, Sessions};
use crate::kernel::clock::Clock;
use crate::kernel::dashboards::UsageSums;
use crate::kernel::database::Pools;
use crate::kernel::dialect::Enrolment;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::operations::switches::Switches;
use crate::kernel::usage::intake::Intake;
use crate::kernel::usage::sources::Sources;
use crate::kernel::usage::writer::Writer;

/// What handlers are given. Slices state which parts they need. Every request takes a clone, hence one pointer.
#[derive(Clone, Debug)]
pub(super) struct AppState(pub(super) Arc<Handed>);

/// Makes the struct, and lets a handler ask for each of its fields by type.
macro_rules! handed_out {
    (struct Handed { $($field:ident: $part:ty,)* }) => {
        #[derive(Debug)]
        pub(super) struct Handed {
            $(pub(super) $field: $part,)*
        }

        $(impl FromRef<AppState> for $part {
            fn from_ref(state: &AppState) -> Self {
                state.0.$field.clone()
            }
        })*
    };
}

handed_out! {
    struct Handed {
        pools: Pools,
        clock: Clock,
        authenticator: Authenticator,
        writer: Writer,
        readiness: Readiness,
        accounts: Accounts,
        persons: Persons,
        answers: UsageAnswers,
        usage_sums: UsageSums,
        device_door: DeviceDoor,
        sessions: Sessions,
        account_door: AccountDoor,
        operator_sessions: OperatorSessions,
        cursors: Cursors,
        switches: Switches,
        switchboard: Switchboard,
        backfills: Backfills,
        process_status: ProcessStatus,
        intake: Intake,
        sources: Sources,
        books: Books,
        enrolment: Enrolment,
        public_url: PublicUrl,
    }
}
