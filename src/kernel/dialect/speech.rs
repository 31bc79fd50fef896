//! The routes of a slice that speaks another product's protocol, by who may call them, so that the composition root needs
//! one line for each.

use utoipa_axum::router::OpenApiRouter;

use crate::kernel::http::manner::Manner;

/// The routes of one product.
pub struct Speech<S> {
    /// For a device's token.
    pub devices: OpenApiRouter<S>,
    /// For a viewer's token.
    pub viewers: OpenApiRouter<S>,
    /// For everyone: what pairs a new device.
    pub strangers: OpenApiRouter<S>,
    /// How its clients are told of what went wrong.
    pub manner: Manner,
}

/// The routes of several.
pub struct Spoken<S> {
    /// For a device's token.
    pub devices: OpenApiRouter<S>,
    /// For a viewer's token.
    pub viewers: OpenApiRouter<S>,
    /// For everyone.
    pub strangers: OpenApiRouter<S>,
    /// How the clients of each are told of what went wrong.
    pub manners: Vec<Manner>,
}

impl<S> std::fmt::Debug for Speech<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Speech").field("manner", &self.manner).finish_non_exhaustive()
    }
}

impl<S> std::fmt::Debug for Spoken<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spoken").field("manners", &self.manners).finish_non_exhaustive()
    }
}

/// All of them in one.
pub fn spoken<S>(speeches: impl IntoIterator<Item = Speech<S>>) -> Spoken<S>
where
    S: Clone + Send + Sync + 'static,
{
    let none = OpenApiRouter::new;
    let nothing = Spoken { devices: none(), viewers: none(), strangers: none(), manners: Vec::new() };
    speeches.into_iter().fold(nothing, |all, speech| Spoken {
        devices: all.devices.merge(speech.devices),
        viewers: all.viewers.merge(speech.viewers),
        strangers: all.strangers.merge(speech.strangers),
        manners: [all.manners, vec![speech.manner]].concat(),
    })
}
