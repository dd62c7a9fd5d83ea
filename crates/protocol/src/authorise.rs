//! May this caller say this? `Caller` + `Envelope` → `Live` or `Missed`, or a refusal.
//!
//! The only way to an [`Event`]: an `Event` *is* authorised, and is live or missed by type, so that nothing behind this has to ask.
//! Pure; what is known of the application is passed in.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Deref;

use jiff::Timestamp;

use crate::envelope::{Envelope, Products};
use crate::id::{ClientId, CustomerId, EventId, NegotiatorId, Product, Recipient};
use crate::payload::{CallState, Payload, SubType};

/// Who is calling, as a verified token says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The application; tokens without one cannot post. Boxed, as people's tokens have none and are many.
    pub client_id: Option<Box<ClientId>>,
    /// What the token may, without the prefix `agencyCloud/`.
    pub scopes: BTreeSet<String>,
    /// Whom the token belongs to.
    pub identity: Identity,
    /// When the token ends.
    pub expires: Timestamp,
}

/// Whom a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// An application on its own: it says with each request which customer it speaks for.
    Application,
    /// An application, or a service, of one customer.
    Customer(CustomerId),
    /// A person who is logged in to a product.
    Person(Recipient, Product),
}

/// An application as it is stored: what it was granted and who has installed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The `client_id` of its tokens.
    pub client_id: ClientId,
    /// The scopes that were granted, without prefix.
    pub scopes: BTreeSet<String>,
    /// The customers that have installed it.
    pub customers: BTreeSet<CustomerId>,
}

/// What is known of the caller's application.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// All that the token says, everywhere: development.
    Everything,
    /// What is stored; `None` when it is not.
    Stored(Option<&'a Application>),
}

/// Something an application may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Post telephony events, take missed calls away.
    TelephonyWrite,
    /// Read missed calls.
    TelephonyRead,
    /// Read the directory.
    NegotiatorsRead,
}

impl Scope {
    /// The name without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TelephonyWrite => "notifications.telephony.write",
            Self::TelephonyRead => "notifications.telephony.read",
            Self::NegotiatorsRead => "negotiators.read",
        }
    }
}

/// A scope without the prefix that Reapit's tokens write before it: both forms mean the same.
#[must_use]
pub fn plain_scope(scope: &str) -> &str {
    scope.strip_prefix("agencyCloud/").unwrap_or(scope)
}

/// Why a caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token has no `client_id`.
    #[error("the token names no application (client_id)")]
    NoApplication,
    /// The token lacks the scope, or the application was not granted it.
    #[error("the scope {} is needed", .0.name())]
    Scope(Scope),
    /// The customer has not installed the application.
    #[error("customer {0} has not installed this application")]
    NotInstalled(CustomerId),
    /// An application's token needs the header.
    #[error("the header reapit-customer is required: the token names no customer")]
    CustomerMissing,
    /// The token belongs to another customer.
    #[error("the token belongs to another customer than {0}")]
    CustomerForeign(CustomerId),
}

/// An authorised event, by what becomes of it. Borrows from the body that it came in.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// Shown at once, over the sessions.
    Live(Live<'a>),
    /// Kept until the product asks.
    Missed(Missed<'a>),
}

/// An authorised event that is shown at once.
#[derive(Debug, Clone)]
pub struct Live<'a> {
    state: CallState,
    told: Told<'a>,
}

/// An authorised event that is kept: a call that nobody took.
#[derive(Debug, Clone)]
pub struct Missed<'a>(Told<'a>);

/// What every authorised event says, and of whom.
#[derive(Debug, Clone)]
pub struct Told<'a> {
    stamp: Stamp,
    client_id: &'a ClientId,
    customer: CustomerId,
    envelope: Envelope<'a>,
}

/// What the broker adds to an event when it takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Made for this event alone.
    pub id: EventId,
    /// When the broker took it.
    pub at: Timestamp,
}

impl Caller {
    /// The application.
    #[must_use]
    pub fn client_id(&self) -> Option<ClientId> {
        self.client_id.as_deref().copied()
    }

    /// The customer that this request speaks for; `header` is the one it names in `reapit-customer`.
    ///
    /// # Errors
    /// [`Refusal::CustomerMissing`] or [`Refusal::CustomerForeign`].
    pub fn speaks_for(&self, header: Option<CustomerId>) -> Result<CustomerId, Refusal> {
        let own = match self.identity {
            Identity::Application => return header.ok_or(Refusal::CustomerMissing),
            Identity::Customer(customer) | Identity::Person(Recipient { customer, .. }, _) => customer,
        };
        match header {
            Some(other) if other != own => Err(Refusal::CustomerForeign(other)),
            Some(_) | None => Ok(own),
        }
    }

    /// Whether the token has a scope, and the application was granted it.
    #[must_use]
    pub fn holds(&self, scope: &str, grant: Grant<'_>) -> bool {
        self.scopes.contains(scope)
            && match grant {
                Grant::Everything => true,
                Grant::Stored(application) => application.is_some_and(|application| application.scopes.contains(scope)),
            }
    }

    /// Checks that the application has `scope` and that `customer` has installed it.
    ///
    /// # Errors
    /// [`Refusal::NoApplication`], [`Refusal::Scope`], [`Refusal::NotInstalled`], in this order.
    pub fn permit(&self, scope: Scope, customer: CustomerId, grant: Grant<'_>) -> Result<(), Refusal> {
        if self.client_id.is_none() {
            return Err(Refusal::NoApplication);
        }
        if !self.scopes.contains(scope.name()) {
            return Err(Refusal::Scope(scope));
        }
        match grant {
            Grant::Everything => Ok(()),
            Grant::Stored(None) => Err(Refusal::NotInstalled(customer)),
            Grant::Stored(Some(application)) if !application.scopes.contains(scope.name()) => Err(Refusal::Scope(scope)),
            Grant::Stored(Some(application)) if !application.customers.contains(&customer) => {
                Err(Refusal::NotInstalled(customer))
            }
            Grant::Stored(Some(_)) => Ok(()),
        }
    }
}

/// Lets `caller` say what `envelope` says to negotiators of `customer`, whom [`Caller::speaks_for`] returned.
///
/// # Errors
/// As [`Caller::permit`].
#[inline]
pub fn authorise<'a>(
    caller: &'a Caller,
    customer: CustomerId,
    grant: Grant<'_>,
    envelope: Envelope<'a>,
    stamp: Stamp,
) -> Result<Event<'a>, Refusal> {
    caller.permit(Scope::TelephonyWrite, customer, grant)?;
    let client_id = caller.client_id.as_deref().ok_or(Refusal::NoApplication)?;
    let state = envelope.sub_type.state();
    let told = Told { stamp, client_id, customer, envelope };
    Ok(match state {
        Some(state) => Event::Live(Live { state, told }),
        None => Event::Missed(Missed(told)),
    })
}

impl<'a> Deref for Event<'a> {
    type Target = Told<'a>;

    fn deref(&self) -> &Told<'a> {
        match self {
            Self::Live(live) => &live.told,
            Self::Missed(missed) => &missed.0,
        }
    }
}

impl<'a> Deref for Live<'a> {
    type Target = Told<'a>;

    fn deref(&self) -> &Told<'a> {
        &self.told
    }
}

impl<'a> Deref for Missed<'a> {
    type Target = Told<'a>;

    fn deref(&self) -> &Told<'a> {
        &self.0
    }
}

impl Live<'_> {
    /// What it makes of the call.
    #[must_use]
    pub fn state(&self) -> CallState {
        self.state
    }
}

impl<'a> Told<'a> {
    /// The event's own id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.stamp.id
    }

    /// When the broker took it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.stamp.at
    }

    /// The application that posted it.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        *self.client_id
    }

    /// Whose event it is.
    #[must_use]
    pub fn customer(&self) -> CustomerId {
        self.customer
    }

    /// What happened.
    #[must_use]
    pub fn sub_type(&self) -> SubType {
        self.envelope.sub_type
    }

    /// The products that are told.
    #[must_use]
    pub fn products(&self) -> &Products {
        &self.envelope.products
    }

    /// The negotiators who are told.
    #[must_use]
    pub fn targets(&self) -> &[NegotiatorId] {
        &self.envelope.targets
    }

    /// The negotiators who are told, each with the customer.
    pub fn recipients(&self) -> impl Iterator<Item = Recipient> + Clone {
        let customer = self.customer;
        self.envelope.targets.iter().map(move |&negotiator| Recipient { customer, negotiator })
    }

    /// The call that it is about: the provider's id, else the event's own.
    #[must_use]
    pub fn call_id(&self) -> Cow<'_, str> {
        match &self.envelope.payload.id {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(self.stamp.id.to_string()),
        }
    }

    /// When it happened by the provider's clock.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.envelope.payload.created.at
    }

    /// What is told.
    #[must_use]
    pub fn payload(&self) -> &Payload<'a> {
        &self.envelope.payload
    }
}

#[cfg(test)]
mod tests;
