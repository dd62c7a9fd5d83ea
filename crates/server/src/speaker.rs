//! For whom a request speaks, and what it may.

use std::sync::Arc;

use protocol::authorise::{Application, Caller, Grant, Refusal, Scope};
use protocol::id::CustomerId;

/// Somebody who is known, speaking for one customer.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) caller: Arc<Caller>,
    pub(crate) customer: CustomerId,
    pub(crate) authority: Authority,
}

/// Whence it comes what somebody may.
#[derive(Debug)]
pub(crate) enum Authority {
    /// The token, and what is stored of its application; `None` where it is not.
    Stored(Option<Arc<Application>>),
    /// The token alone: development.
    Token,
    /// An operator set it up to turn callbacks into events.
    Connector,
}

impl Speaker {
    /// What is known of the application.
    pub(crate) fn grant(&self) -> Grant<'_> {
        match &self.authority {
            Authority::Stored(application) => Grant::Stored(application.as_deref()),
            Authority::Token | Authority::Connector => Grant::Everything,
        }
    }

    /// Whether the customer has installed the application.
    pub(crate) fn is_installed(&self) -> bool {
        match &self.authority {
            Authority::Stored(application) => {
                application.as_ref().is_some_and(|application| application.customers.contains(&self.customer))
            }
            Authority::Token | Authority::Connector => true,
        }
    }

    /// Checks that the application may do this for the customer.
    pub(crate) fn permit(&self, scope: Scope) -> Result<(), Refusal> {
        self.caller.permit(scope, self.customer, self.grant())
    }
}
