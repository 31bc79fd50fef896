//! The page: a person opens it and knows where their tokens went.
//!
//! It is drawn by the server and works without scripts. Every view is a link. Its numbers are exact, and come by the same
//! door as those of other products' dashboards, never over HTTP. What a page changes goes through the acts of accounts.
//!
//! | part | answers | who |
//! |---|---|---|
//! | `sign_in` | `/sign-in`, `/sign-out` | anybody who has a viewer token or the code of a link; who is signed in |
//! | `usage` | `/`, `/model`, `/tool`, `/device`, `/day`, `/receipt`, `/usage.csv` | who is signed in |
//! | `settings` | `/settings`, and what is done to devices, tokens and codes below it | who is signed in |
//! | `merging` | `/settings/merges` and what hangs below it | who is signed in |
//! | `deleting` | `/settings/usage`, `/settings/erase` | who is signed in |
//! | `operate_sign_in` | `/operate/sign-in`, `/operate/sign-out` | anybody who has an operator token; operators who are signed in |
//! | `operate` | `/operate`, its switches, the lists of users and of prices | operators who are signed in |
//! | `operate_jobs` | `/operate/jobs` and what hangs below it | operators who are signed in |
//! | `look` | `/assets/{name}`: the style, the script, and what stands around every page | anybody |
//!
//! These routes are for people. They are not in the contract, and may change with every release.

mod deleting;
mod doors;
mod handler;
mod look;
mod merging;
mod operate;
mod operate_jobs;
mod operate_sign_in;
mod operator_doors;
mod problem_page;
mod settings;
mod sign_in;
mod usage;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use doors::{
    AccountActs, AccountDoor, FromAccounts, PageDevice, PageErasure, PageFarewell, PagePerson, PageSecret, PageToken,
};
pub use merging::{FromMerges, MergeActs, MergeDoor, MergeStep, PageMerge};
pub(crate) use operate_sign_in::{turn_operator_away, turn_stranger_away};
pub use operator_doors::{
    FromOperating, OperatorActs, OperatorDoor, PageBook, PageBookInForce, PageException, PageJob, PageJobChange,
    PageLane, PageParked, PagePlanRow, PagePriceLine, PageRowPosition, PageStatus, PageSwitch, PageThrow,
    PageUncovered, PageUser, WantedThrow,
};

use crate::kernel::access::{OperatorSessions, Sessions};
use crate::kernel::clock::Clock;
use crate::kernel::dashboards::UsageSums;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::manner::{Form, Manner};
use crate::kernel::http::public_url::PublicUrl;

/// How problems are shown on pages.
pub(crate) const MANNER: Manner = Manner {
    paths: &[
        "/",
        "/model",
        "/tool",
        "/device",
        "/day",
        "/receipt",
        "/sign-in",
        "/sign-out",
        "/settings",
        "/settings/zone",
        "/settings/devices",
        "/settings/devices/{device_id}/rename",
        "/settings/devices/{device_id}/rotate",
        "/settings/devices/{device_id}/revoke",
        "/settings/link-codes",
        "/settings/tokens",
        "/settings/tokens/{token_id}/revoke",
        "/settings/merges",
        "/settings/merges/{job_id}",
        "/settings/merges/{job_id}/execute",
        "/settings/merges/{job_id}/cancel",
        "/settings/merges/{job_id}/rollback",
        "/settings/usage",
        "/settings/erase",
    ],
    form: Form::Page { policy: look::PAGE_POLICY, write: problem_page::problem_page },
};

/// The same on operators' pages.
pub(crate) const OPERATE_MANNER: Manner = Manner {
    paths: &[
        "/operate",
        "/operate/sign-in",
        "/operate/sign-out",
        "/operate/switches/{name}",
        "/operate/users",
        "/operate/prices",
        "/operate/coverage",
        "/operate/jobs",
        "/operate/jobs/{job_id}",
        "/operate/jobs/{job_id}/exceptions",
        "/operate/jobs/{job_id}/execute",
        "/operate/jobs/{job_id}/cancel",
        "/operate/jobs/{job_id}/rollback",
    ],
    form: Form::Page { policy: look::PAGE_POLICY, write: problem_page::operate_problem_page },
};

/// The files that pages load.
pub(crate) fn asset_router<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(routes!(handler::page_asset))
}

/// The pages for everybody.
pub(crate) fn open_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    PublicUrl: FromRef<S>,
    Sessions: FromRef<S>,
{
    sign_in::open_router()
}

/// The pages for whoever is signed in.
pub(crate) fn session_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    Clock: FromRef<S>,
    MergeDoor: FromRef<S>,
    PublicUrl: FromRef<S>,
    Sessions: FromRef<S>,
    UsageSums: FromRef<S>,
{
    sign_in::router()
        .merge(usage::router())
        .merge(settings::router())
        .merge(merging::router())
        .merge(deleting::router())
}

/// The pages for everybody who may become an operator.
pub(crate) fn open_operator_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    OperatorDoor: FromRef<S>,
    OperatorSessions: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    operate_sign_in::open_router()
}

/// The pages for operators who are signed in.
pub(crate) fn operator_session_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Cursors: FromRef<S>,
    OperatorDoor: FromRef<S>,
    OperatorSessions: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    operate_sign_in::router().merge(operate::router()).merge(operate_jobs::router())
}
