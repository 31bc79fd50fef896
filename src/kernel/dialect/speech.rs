//! The routes of a slice that speaks another product's protocol, by who may call them, so that the composition root needs
//! one line for each.

use std::collections::HashMap;

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

impl<S> std::fmt::Debug for Speech<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Speech").field("manner", &self.manner).finish_non_exhaustive()
    }
}

/// All of them in one, and the manner of each of their paths.
pub fn spoken<S>(speeches: impl IntoIterator<Item = Speech<S>>) -> (Speech<S>, HashMap<String, Manner>)
where
    S: Clone + Send + Sync + 'static,
{
    let none = OpenApiRouter::new;
    let mut all = Speech { devices: none(), viewers: none(), strangers: none(), manner: Manner::default() };
    let mut manners = HashMap::new();
    for Speech { devices, viewers, strangers, manner } in speeches {
        for routes in [&devices, &viewers, &strangers] {
            manners.extend(routes.get_openapi().paths.paths.keys().map(|path| (path.clone(), manner)));
        }
        all.devices = all.devices.merge(devices);
        all.viewers = all.viewers.merge(viewers);
        all.strangers = all.strangers.merge(strangers);
    }
    (all, manners)
}
