//! How the page gets what it shows and does: accounts do what people do on it, and who is signed in may see it. The composition
//! root puts that together, with what keeps forms of other sites out.

use std::collections::BTreeSet;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, ORIGIN, VARY};
use axum::http::{HeaderValue, Method};
use axum::middleware::{from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse as _, Response};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use super::layers::limited;
use super::state::AppState;
use crate::features::accounts::{
    Accounts, DeviceChange, DeviceListing, ErasureQuery, NewDevice, OwnToken, PersonErasure, PersonQuery, Persons,
};
use crate::features::dashboard_page::{
    self, AccountActs, AccountDoor, FromAccounts, PageDevice, PageErasure, PageFarewell, PagePerson, PageSecret,
    PageToken, turn_operator_away, turn_stranger_away,
};
use crate::kernel::access::{Limit, OperatorSessions, Session, SessionGate, Sessions, Viewer, require_session};
use crate::kernel::call::RequestContext;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::idempotency::Once;
use crate::kernel::problem::{Code, Problem};

/// What tells a page of this server from one of another, besides `Origin`.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What accounts can do for the page.
pub(crate) fn accounts_with(accounts: &Accounts, persons: Persons, sessions: &Sessions) -> AccountDoor {
    AccountDoor::new(PageAccounts { accounts: accounts.clone(), persons, sessions: sessions.clone() })
}

struct PageAccounts {
    accounts: Accounts,
    persons: Persons,
    sessions: Sessions,
}

impl AccountActs for PageAccounts {
    fn owner_of_code(&self, context: RequestContext, code: String) -> FromAccounts<String> {
        let sign_ins = self.accounts.sign_ins.clone();
        Box::pin(async move { sign_ins.owner_of(&context, &code).await })
    }

    fn sign_in_with_code(&self, context: RequestContext, code: String) -> FromAccounts<Session> {
        let sign_ins = self.accounts.sign_ins.clone();
        Box::pin(async move { sign_ins.begin_with_code(&context, &code).await })
    }

    fn sign_in_with_token(&self, context: RequestContext, token: String) -> FromAccounts<Session> {
        let (sign_ins, sessions) = (self.accounts.sign_ins.clone(), self.sessions.clone());
        Box::pin(async move {
            let (principal, hash) = sessions.owner_of(&token, &context).await?;
            sign_ins.begin_with_token(&context, (principal.kind(), principal.user_id()), hash).await
        })
    }

    fn sign_out(&self, viewer: Viewer, everywhere: bool) -> FromAccounts<u64> {
        let sign_ins = self.accounts.sign_ins.clone();
        Box::pin(async move { sign_ins.end(viewer.context(), viewer.actor(), viewer.user_id(), everywhere).await })
    }

    fn person(&self, viewer: Viewer) -> FromAccounts<PagePerson> {
        let profiles = self.accounts.profiles.clone();
        Box::pin(async move {
            let profile = profiles.find(viewer.context(), viewer.user_id()).await?;
            Ok(PagePerson { name: profile.name, time_zone: profile.time_zone })
        })
    }

    fn devices(&self, viewer: Viewer, most: u16) -> FromAccounts<Vec<PageDevice>> {
        let devices = self.accounts.devices.clone();
        Box::pin(async move {
            let listed = devices.list(viewer.context(), viewer.user_id(), None, most.into()).await?;
            Ok(listed.into_iter().map(page_device).collect())
        })
    }

    fn change_zone(&self, viewer: Viewer, time_zone: String) -> FromAccounts<()> {
        let profiles = self.accounts.profiles.clone();
        Box::pin(async move {
            let (actor, user_id) = (viewer.actor(), viewer.user_id());
            profiles.change_zone(viewer.context(), actor, user_id, &time_zone, Once::unkeyed()).await?;
            Ok(())
        })
    }

    fn add_device(&self, viewer: Viewer, name: String, platform: String) -> FromAccounts<PageSecret> {
        let devices = self.accounts.devices.clone();
        Box::pin(async move {
            let (actor, user_id, device) = (viewer.actor(), viewer.user_id(), NewDevice { name, platform });
            let added = devices.register(viewer.context(), actor, user_id, &device, Once::unkeyed()).await?;
            Ok(PageSecret { device_id: Some(added.device_id), text: added.token.reveal().to_owned() })
        })
    }

    fn rotate_device(&self, viewer: Viewer, device_id: Uuid) -> FromAccounts<PageSecret> {
        let devices = self.accounts.devices.clone();
        Box::pin(async move {
            let (actor, user_id) = (viewer.actor(), viewer.user_id());
            let rotated = devices.rotate(viewer.context(), actor, user_id, device_id, Once::unkeyed()).await?;
            Ok(PageSecret { device_id: Some(device_id), text: rotated.token.reveal().to_owned() })
        })
    }

    fn rename_device(&self, viewer: Viewer, device_id: Uuid, name: String, former_name: String) -> FromAccounts<()> {
        let devices = self.accounts.devices.clone();
        Box::pin(async move {
            let (actor, whose) = (viewer.actor(), (viewer.user_id(), device_id));
            let change = DeviceChange { name, former_name: Some(former_name) };
            devices.rename(viewer.context(), actor, whose, &change, Once::unkeyed()).await?;
            Ok(())
        })
    }

    fn revoke_device(&self, viewer: Viewer, device_id: Uuid) -> FromAccounts<()> {
        let devices = self.accounts.devices.clone();
        Box::pin(async move {
            let (actor, user_id) = (viewer.actor(), viewer.user_id());
            devices.revoke(viewer.context(), actor, user_id, device_id, Once::unkeyed()).await?;
            Ok(())
        })
    }

    fn make_link_code(&self, viewer: Viewer) -> FromAccounts<PageSecret> {
        let link_codes = self.accounts.link_codes.clone();
        Box::pin(async move {
            let made = link_codes.make(viewer.context(), viewer.actor(), viewer.user_id(), Once::unkeyed()).await?;
            Ok(PageSecret { device_id: None, text: made.code.reveal() })
        })
    }

    fn tokens(&self, viewer: Viewer, most: u16) -> FromAccounts<Vec<PageToken>> {
        let tokens = self.accounts.tokens.clone();
        Box::pin(async move {
            let own = tokens.own(viewer.context(), viewer.user_id(), most).await?;
            Ok(own.into_iter().map(page_token).collect())
        })
    }

    fn issue_token(&self, viewer: Viewer, label: String) -> FromAccounts<PageSecret> {
        let tokens = self.accounts.tokens.clone();
        Box::pin(async move {
            let issued = tokens.issue_own(viewer.context(), viewer.actor(), viewer.user_id(), &label).await?;
            Ok(PageSecret { device_id: None, text: issued.token.reveal().to_owned() })
        })
    }

    fn revoke_token(&self, viewer: Viewer, token_id: Uuid) -> FromAccounts<()> {
        let tokens = self.accounts.tokens.clone();
        Box::pin(async move { tokens.revoke_own(viewer.context(), viewer.actor(), viewer.user_id(), token_id).await })
    }

    fn erase_usage(&self, viewer: Viewer, parameters: Vec<(String, String)>) -> FromAccounts<PageErasure> {
        let erasures = self.accounts.erasures.clone();
        Box::pin(async move {
            let asked = ErasureQuery::parse(&parameters)?;
            let (context, actor, user_id) = (viewer.context(), viewer.actor(), viewer.user_id());
            let erasure = if asked.dry_run {
                erasures.preview(context, actor, user_id, &asked, Once::unkeyed()).await?
            } else {
                erasures.erase(context, actor, user_id, &asked, Once::unkeyed()).await?
            };
            Ok(PageErasure { buckets: erasure.buckets, hours: erasure.first_hour.zip(erasure.last_hour) })
        })
    }

    fn erase_person(&self, viewer: Viewer, confirm: Option<String>) -> FromAccounts<PageFarewell> {
        let persons = self.persons.clone();
        Box::pin(async move {
            let query = PersonQuery { dry_run: confirm.is_none(), confirm };
            let (context, actor, user_id) = (viewer.context(), viewer.actor(), viewer.user_id());
            Ok(page_farewell(&persons.erase_oneself(context, actor, user_id, &query).await?))
        })
    }
}

fn page_farewell(erasure: &PersonErasure) -> PageFarewell {
    let accounts = [erasure.devices, erasure.tokens, erasure.link_codes];
    let PersonErasure { buckets, rollup_rows, finished: is_finished, .. } = *erasure;
    PageFarewell { accounts, buckets, rollup_rows, is_finished }
}

fn page_token(token: OwnToken) -> PageToken {
    let OwnToken { token_id, kind, is_session, label, device_name, created_at, expires_at, last_used_at } = token;
    PageToken { token_id, kind, is_session, label, device: device_name, created_at, expires_at, last_used_at }
}

fn page_device(listing: DeviceListing) -> PageDevice {
    let DeviceListing { device_id, name, platform, revoked_at, last_used_at, speaks, kept, .. } = listing;
    PageDevice { device_id, name, platform, revoked_at, last_used_at, speaks, kept }
}

/// How often pages may be asked for, each counted apart; `None` for no limit.
pub(crate) struct PageLimits {
    pub(crate) viewers: Option<Limit>,
    pub(crate) operators: Option<Limit>,
    pub(crate) strangers: Option<Limit>,
}

/// Every page behind its layers.
pub(crate) fn router(
    sessions: &Sessions,
    operator_sessions: &OperatorSessions,
    public_url: &PublicUrl,
    limits: &PageLimits,
) -> OpenApiRouter<AppState> {
    let (url, operators) = (public_url.clone(), operator_sessions.clone());
    let gate = SessionGate::new(sessions.clone(), move |request| {
        Box::pin(turn_stranger_away(request, url.clone(), operators.clone()))
    });
    let pages = limited(dashboard_page::session_router(), limits.viewers.as_ref());
    let pages = pages.route_layer(from_fn_with_state(gate, require_session));
    let (url, viewers) = (public_url.clone(), sessions.clone());
    let operator_gate = SessionGate::new(operator_sessions.0.clone(), move |request| {
        Box::pin(turn_operator_away(request, url.clone(), viewers.clone()))
    });
    let operator_pages = limited(dashboard_page::operator_session_router(), limits.operators.as_ref());
    let operator_pages = operator_pages.route_layer(from_fn_with_state(operator_gate, require_session));
    let open = dashboard_page::open_router().merge(dashboard_page::open_operator_router());
    pages
        .merge(operator_pages)
        .merge(limited(open, limits.strangers.as_ref()))
        .route_layer(CsrfLayer::new().with_rejection_response(refuse_cross_site))
        .route_layer(map_request(come_from_somewhere))
        .route_layer(map_response(keep_to_one))
        .merge(dashboard_page::asset_router())
}

/// `GET /day` for every route of the page: they are not in the contract.
pub fn page_routes() -> BTreeSet<String> {
    let router: OpenApiRouter<AppState> = dashboard_page::session_router();
    let router = router.merge(dashboard_page::open_router()).merge(dashboard_page::asset_router());
    let router = router.merge(dashboard_page::open_operator_router()).merge(dashboard_page::operator_session_router());
    let operations = super::openapi::operations(router.get_openapi());
    operations.into_keys().map(|(method, path)| format!("{method} {path}")).collect()
}

/// A browser says where a form comes from, and nothing else sends forms.
async fn come_from_somewhere(request: Request) -> Result<Request, Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let says = |name: &str| request.headers().get(name).is_some_and(|value| !value.is_empty());
    if reads || says(ORIGIN.as_str()) || says(SEC_FETCH_SITE) { Ok(request) } else { Err(cross_site()) }
}

fn refuse_cross_site(_: ProtectionError) -> Response {
    cross_site().into_response()
}

fn cross_site() -> Problem {
    let detail = "The form came from another site, or does not say where it comes from. Nothing was done.";
    Problem::new(Code::CrossSite, detail)
}

/// What one person sees is for no shared cache, and another one under another cookie.
async fn keep_to_one(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("cookie"));
    response
}
