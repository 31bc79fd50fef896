//! Every route, behind its layers. What a route needs, and who may call it, is decided here.

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware::{from_fn_with_state, map_request_with_state, map_response};
use tokio::runtime::Handle;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;

use super::layers::{
    self, Operations, StrangerLimits, Surroundings, TokenGate, admitted, answered, around, cors, limited, observed,
    without_key, without_key_for_trackers, without_key_to_read,
};
use super::pages::PageLimits;
use super::paths::KnownPaths;
use super::settings::Settings;
use super::state::{AppState, Handed};
use super::{activity, openapi, pages};
use crate::features;
use crate::features::{
    accounts, backfill, dashboard_page, dashboard_rollup, ingest_buckets, operations, pricing, speaks_otlp,
};
use crate::kernel::access::Limit;
use crate::kernel::dialect::{Spoken, spoken};
use crate::kernel::http::manner::Manner;
use crate::kernel::http::request_line::RequestLine;
use crate::kernel::usage::intake::note_beginning;

/// What the routes are made of.
pub(super) struct Routes<'app> {
    pub(super) state: &'app AppState,
    pub(super) settings: &'app Settings,
    pub(super) strangers: &'app StrangerLimits,
    /// The runtime that answers what posts do not wait for.
    pub(super) aside: Handle,
}

impl Routes<'_> {
    /// The routes of other products' protocols, a line for each, how their clients are told of what went wrong, and which
    /// paths their trackers post to.
    fn for_trackers(
        &self,
        known: &Operations,
        (devices, viewers): (Option<&Limit>, Option<&Limit>),
    ) -> (OpenApiRouter<AppState>, Vec<Manner>, Vec<String>) {
        let Spoken { devices: of_devices, viewers: of_viewers, strangers, manners } = spoken([
            features::speaks_vibe_cafe::speech(),
            features::speaks_vibeusage::speech(),
            features::speaks_tokentracker::speech(),
        ]);
        let posts = paths_of(&of_devices);
        let no_key = map_request_with_state(known.clone(), without_key_for_trackers);
        let begins = map_request_with_state(self.state.0.clock.clone(), note_beginning);
        let behind = |routes: OpenApiRouter<AppState>, limit: Option<&Limit>| {
            around(routes, |routes| self.behind_token(routes.route_layer(no_key.clone()), limit))
        };
        let strangers =
            around(strangers, |routes| limited(routes.route_layer(no_key.clone()), self.strangers.pairing.as_ref()));
        let routes = behind(of_devices, devices).merge(behind(of_viewers, viewers)).merge(strangers);
        (around(routes, |routes| routes.route_layer(begins)), manners, posts)
    }

    /// Every route behind every layer.
    pub(super) fn router(&self) -> Router {
        let limits = self.settings.limits;
        let public_url = self.state.0.public_url.clone();
        let known = Operations::default();
        let only_reads = map_request_with_state(known.clone(), without_key_to_read);
        let of_viewers = dashboard_rollup::router().merge(accounts::viewer_router()).route_layer(only_reads.clone());
        let operators = operations::router().merge(accounts::operator_router()).merge(backfill::router());
        let operators = operators.merge(pricing::operator_router()).route_layer(only_reads.clone());
        let sources = operations::sources_router().merge(pricing::router()).route_layer(only_reads);
        let (exports, unread) = speaks_otlp::routers();
        let (devices, viewers) = (Limit::by_token("device", limits.device), Limit::by_token("viewer", limits.viewer));
        let (for_trackers, mut manners, dialects_posts) =
            self.for_trackers(&known, (devices.as_ref(), viewers.as_ref()));
        manners.extend([speaks_otlp::MANNER, dashboard_page::MANNER, dashboard_page::OPERATE_MANNER]);
        let buckets = ingest_buckets::router();
        // Exports may take so long to read that no post should wait for it.
        let posts = paths_of(&buckets).into_iter().chain(dialects_posts).collect();
        let for_principals = self
            .behind_token(buckets, devices.as_ref())
            .merge(self.behind_token(exports, Limit::by_token("opentelemetry", limits.device).as_ref()))
            .merge(self.behind_token(unread, Limit::by_token("opentelemetry_unread", limits.device).as_ref()))
            .merge(self.behind_token(sources, Limit::by_token("sources", limits.device).as_ref()))
            .merge(self.behind_token(of_viewers, viewers.as_ref()))
            .merge(self.behind_token(operators, Limit::by_token("operator", limits.operator).as_ref()));
        let exchange = accounts::exchange_router().route_layer(map_request_with_state(known.clone(), without_key));
        let exchange = limited(exchange, self.strangers.exchange.as_ref());
        let page = accounts::page_router();
        let for_everyone = limited(openapi::frame(&public_url).merge(page), self.strangers.routes.as_ref())
            .merge(operations::health());
        let counted = self.counted(for_principals.merge(exchange).merge(for_trackers));
        let (router, mut document) = for_everyone.merge(counted).split_for_parts();
        openapi::complete(&mut document, &public_url);
        let (pages, of_pages) = self.pages().split_for_parts();
        let paths = Arc::new(KnownPaths::new(&document, &of_pages));
        let mut operations = openapi::operations(&document);
        operations.extend(openapi::operations(&of_pages));
        let operations = Arc::new(operations);
        let operations = known.get_or_init(|| operations).clone();
        let cors = cors(&self.settings.cors_origins, &document);
        let line = RequestLine {
            deadline: self.settings.request_deadline,
            streaming_routes: backfill::STREAMING_ROUTES,
            manners,
            public_url: public_url.clone(),
            operations,
            anonymous_callers: self.strangers.callers.clone(),
            tracer: self.settings.tracer.clone(),
        };
        let (bodies, aside) = (self.settings.bodies.clone(), self.aside.clone());
        let all = Arc::new(Surroundings { bodies, line, paths: paths.clone(), posts, aside });
        // The first is the outermost. To the router they are one layer: of several it would copy and keep each one apart for
        // every request.
        let around_all = (
            from_fn_with_state(all.clone(), observed),
            CompressionLayer::new(),
            tower::util::option_layer(cors.map(|cors| (map_response(layers::say_nothing_to_preflight), cors))),
            from_fn_with_state(all, answered),
        );
        router
            .merge(pages)
            .merge(Router::from(limited(
                openapi::publish(&document, &public_url).into(),
                self.strangers.routes.as_ref(),
            )))
            .fallback(async move |uri: Uri| paths.refuse(&uri))
            .layer(around_all)
            .with_state(self.state.clone())
    }

    /// The pages for people, which are no part of the contract.
    fn pages(&self) -> OpenApiRouter<AppState> {
        let Handed { sessions, operator_sessions, public_url, .. } = &*self.state.0;
        let limits = PageLimits {
            viewers: Limit::by_token("page", self.settings.limits.viewer),
            operators: Limit::by_token("operate", self.settings.limits.operator),
            strangers: self.strangers.sign_in.clone(),
        };
        self.counted(pages::router(sessions, operator_sessions, public_url, &limits))
    }

    /// Routes whose requests the private PostgreSQL waits out before it is restarted, if there is one.
    fn counted(&self, routes: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
        let activity = self.settings.private_postgres.as_ref().map(|_programs| self.settings.activity.clone());
        match activity {
            Some(activity) => routes.route_layer(from_fn_with_state(activity, activity::note)),
            None => routes,
        }
    }

    /// A slice's routes behind authentication and its role's limit.
    fn behind_token(&self, routes: OpenApiRouter<AppState>, limit: Option<&Limit>) -> OpenApiRouter<AppState> {
        let gate = TokenGate { authenticator: self.state.0.authenticator.clone(), limit: limit.cloned() };
        routes.route_layer(from_fn_with_state(gate, admitted))
    }
}

/// The paths of routes.
fn paths_of(routes: &OpenApiRouter<AppState>) -> Vec<String> {
    routes.get_openapi().paths.paths.keys().cloned().collect()
}
