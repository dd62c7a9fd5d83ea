//! Whose data goes, when what is kept of a customer or of one negotiator goes: telephone numbers are personal data.

use protocol::id::{CustomerId, NegotiatorId};

/// Whose data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose {
    /// The customer.
    pub customer: CustomerId,
    /// One of its negotiators; all where none is named.
    pub negotiator: Option<NegotiatorId>,
}

impl Whose {
    pub(crate) fn columns(&self) -> (&str, Option<&str>) {
        (self.customer.as_str(), self.negotiator.as_ref().map(NegotiatorId::as_str))
    }
}
