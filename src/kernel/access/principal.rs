//! Who is calling, as types. A handler names the one it needs in its signature ([`Device`],
//! [`Viewer`], [`Operator`], [`Corrector`] for the latter two, [`Reader`] for the
//! first two, [`Caller`] for any) and so cannot forget to ask. Only this room makes a [`Principal`].

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use super::token::TokenKind;
use crate::kernel::call::RequestContext;
use crate::kernel::problem::{Code, Problem};

/// What a device does with its buckets. Its first post decides, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// It adds single records to them.
    Counting,
    /// It replaces them by snapshots.
    Snapshotting,
}

impl DeviceKind {
    /// As it is stored.
    pub const fn of(counts: bool) -> Self {
        if counts { Self::Counting } else { Self::Snapshotting }
    }

    /// The inverse of [`DeviceKind::of`].
    pub const fn counts(self) -> bool {
        matches!(self, Self::Counting)
    }
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    kind: TokenKind,
    token_id: Uuid,
    user_id: Uuid,
    device_id: Option<Uuid>,
    device_kind: Option<DeviceKind>,
}

impl Principal {
    /// The owner of a token that was found. `device_id` is there for a device's token only.
    pub(super) const fn new(kind: TokenKind, token_id: Uuid, user_id: Uuid, device_id: Option<Uuid>) -> Self {
        Self { kind, token_id, user_id, device_id, device_kind: None }
    }

    /// The same whose device was found to be of a kind; `None` for one that has not posted yet.
    pub(super) const fn of_kind(self, device_kind: Option<DeviceKind>) -> Self {
        Self { device_kind, ..self }
    }

    /// Which of the three it is.
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Whose token it is.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// The token it came with: how logs and limits name a caller.
    pub const fn token_id(&self) -> Uuid {
        self.token_id
    }
}

/// A tracker's device: writes its own buckets.
#[derive(Clone, Debug)]
pub struct Device {
    user_id: Uuid,
    device_id: Uuid,
    token_id: Uuid,
    kind: Option<DeviceKind>,
    context: RequestContext,
}

/// A reader of one user's data.
#[derive(Clone, Debug)]
pub struct Viewer {
    user_id: Uuid,
    token_id: Uuid,
    context: RequestContext,
}

/// Someone who runs operations.
#[derive(Clone, Debug)]
pub struct Operator {
    user_id: Uuid,
    token_id: Uuid,
    context: RequestContext,
}

impl Device {
    /// The owner of the buckets it writes.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// The device itself.
    pub const fn device_id(&self) -> Uuid {
        self.device_id
    }

    /// What it does with its buckets, as it was when the token was looked up. A kind never changes; `None` for a device
    /// that had not posted then.
    pub const fn kind(&self) -> Option<DeviceKind> {
        self.kind
    }

    /// How the audit names it.
    pub const fn actor(&self) -> Actor {
        Actor::Principal { kind: TokenKind::Device, user_id: self.user_id, token_id: self.token_id }
    }

    /// The same call on behalf of another device of the same owner, as whose the caller has found it.
    #[must_use]
    pub fn on_behalf_of(&self, device_id: Uuid) -> Self {
        Self { device_id, ..self.clone() }
    }

    /// The request it makes.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }
}

impl Viewer {
    /// Whose data it reads.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// How the audit names it.
    pub const fn actor(&self) -> Actor {
        Actor::Principal { kind: TokenKind::Viewer, user_id: self.user_id, token_id: self.token_id }
    }

    /// The request it makes.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }
}

impl Operator {
    /// The person who operates: not for access.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// How the audit names it.
    pub const fn actor(&self) -> Actor {
        Actor::Principal { kind: TokenKind::Operator, user_id: self.user_id, token_id: self.token_id }
    }

    /// The request it makes.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }
}

/// Who may change history: an operator all of it, a viewer as far as the handler lets its user.
#[derive(Clone, Debug)]
pub struct Corrector {
    kind: TokenKind,
    user_id: Uuid,
    token_id: Uuid,
    context: RequestContext,
}

impl Corrector {
    /// Whether it may see and change every user's history.
    pub const fn is_operator(&self) -> bool {
        matches!(self.kind, TokenKind::Operator)
    }

    /// The person behind the token: a viewer's access ends there.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// How the audit names it.
    pub const fn actor(&self) -> Actor {
        Actor::Principal { kind: self.kind, user_id: self.user_id, token_id: self.token_id }
    }

    /// The request it makes.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }
}

/// Who reads usage: a viewer all of its user's, a device its own.
#[derive(Clone, Debug)]
pub struct Reader {
    user_id: Uuid,
    device_id: Option<Uuid>,
    context: RequestContext,
}

impl Reader {
    /// Whose usage it reads.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// The only device whose usage it reads; `None` for all of the user's.
    pub const fn device_id(&self) -> Option<Uuid> {
        self.device_id
    }

    /// The request it makes.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }
}

/// Whoever has a valid token, of any kind.
#[derive(Clone, Debug)]
pub struct Caller {
    context: RequestContext,
}

impl Caller {
    /// The request it makes.
    pub const fn context(&self) -> &RequestContext {
        &self.context
    }
}

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of a token.
    Principal {
        /// What the token may do.
        kind: TokenKind,
        /// Whose it is.
        user_id: Uuid,
        /// The token.
        token_id: Uuid,
    },
    /// Someone on the machine, with the binary.
    Command,
    /// The server's own workers.
    Server,
}

impl Actor {
    /// As it is stored: `device`, `viewer`, `operator`, `command` or `server`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal { kind, .. } => kind.as_str(),
            Self::Command => "command",
            Self::Server => "server",
        }
    }

    /// The person behind a token; `None` where nobody has sent one.
    pub const fn user_id(self) -> Option<Uuid> {
        match self {
            Self::Principal { user_id, .. } => Some(user_id),
            Self::Command | Self::Server => None,
        }
    }

    /// The token; `None` where there is none.
    pub const fn token_id(self) -> Option<Uuid> {
        match self {
            Self::Principal { token_id, .. } => Some(token_id),
            Self::Command | Self::Server => None,
        }
    }
}

/// The caller, and its call.
fn any_principal(parts: &Parts) -> Result<(Principal, RequestContext), Problem> {
    let principal = parts.extensions.get::<Principal>().cloned();
    let context = parts.extensions.get::<RequestContext>().cloned();
    let found = principal.zip(context);
    found.ok_or_else(|| Problem::internal("a handler asks for a principal on a route without one"))
}

/// The caller, who must be of the wanted kind, and its call. Errors: 403 for another kind.
fn principal_of(parts: &Parts, wanted: TokenKind) -> Result<(Principal, RequestContext), Problem> {
    let (principal, context) = any_principal(parts)?;
    if principal.kind == wanted { Ok((principal, context)) } else { Err(wrong_kind(&[wanted], principal.kind)) }
}

/// 401: the user was erased since the token was looked up. It is remembered for a moment longer.
pub fn erased_user() -> Problem {
    Problem::new(Code::Unauthorized, "The user of this token was erased.")
}

fn wrong_kind(wanted: &[TokenKind], found: TokenKind) -> Problem {
    let names: Vec<_> = wanted.iter().map(|kind| format!("{} (`{}…`)", kind.as_str(), kind.prefix())).collect();
    let (wanted, found, prefix) = (names.join(" or "), found.as_str(), found.prefix());
    let detail = format!("This route takes tokens of the kind {wanted}; yours is of the kind {found} (`{prefix}…`).");
    Problem::new(Code::WrongPrincipal, detail)
}

impl<S: Send + Sync> FromRequestParts<S> for Device {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, context) = principal_of(parts, TokenKind::Device)?;
        let device_id = principal.device_id.ok_or_else(|| wrong_kind(&[TokenKind::Device], principal.kind))?;
        let Principal { token_id, user_id, device_kind: kind, .. } = principal;
        Ok(Self { user_id, device_id, token_id, kind, context })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, context) = principal_of(parts, TokenKind::Viewer)?;
        Ok(Self { user_id: principal.user_id, token_id: principal.token_id, context })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, context) = principal_of(parts, TokenKind::Operator)?;
        Ok(Self { user_id: principal.user_id, token_id: principal.token_id, context })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Corrector {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, context) = any_principal(parts)?;
        let Principal { kind, token_id, user_id, .. } = principal;
        if kind == TokenKind::Device {
            return Err(wrong_kind(&[TokenKind::Viewer, TokenKind::Operator], kind));
        }
        Ok(Self { kind, user_id, token_id, context })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, context) = any_principal(parts)?;
        let Principal { kind, user_id, device_id, .. } = principal;
        if kind == TokenKind::Operator {
            return Err(wrong_kind(&[TokenKind::Device, TokenKind::Viewer], kind));
        }
        Ok(Self { user_id, device_id, context })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (_principal, context) = any_principal(parts)?;
        Ok(Self { context })
    }
}
