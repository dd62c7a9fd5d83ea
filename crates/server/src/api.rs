//! What can be asked of the API, and how it is answered.

pub(crate) mod routes; // method and path → handler: the API's table of contents
pub(crate) mod request; // what the headers and the body say
pub(crate) mod notifications; // taking, listing and taking away notifications
pub(crate) mod negotiators; // the directory, in Reapit's shape
pub(crate) mod connectors; // telephone systems' own callbacks
pub(crate) mod events; // what other systems report, for subscribers
pub(crate) mod webhooks; // subscriptions and deliveries
pub(crate) mod answer; // what several calls answer alike
pub(crate) mod paging; // pages by number, as Reapit has them
pub(crate) mod session; // upgrading to a session
pub(crate) mod openapi; // the published contract
pub(crate) mod cors; // which pages may call from a browser
pub(crate) mod faults; // the only place that names a status code of our API
