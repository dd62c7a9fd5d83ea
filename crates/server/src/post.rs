//! An event comes in, from a provider or a connector: parse → authorise → once → dispatch. There is no other way in.

use protocol::authorise::{Refusal, Scope, Stamp, authorise};
use protocol::envelope::Envelope;
use protocol::fault::{Faults, Malformed};
use protocol::id::IdempotencyKey;
use sessions::registry::When;
use sha2::{Digest, Sha256};

use crate::dispatch::{Posted, dispatch};
use crate::idempotency::{Kept, Key, Once, OnceError, Owner, once};
use crate::node::Node;
use crate::speaker::{Authority, Speaker};

/// How an event is posted.
#[derive(Debug)]
pub(crate) struct Posting {
    pub(crate) when: When,
    pub(crate) key: Option<PostKey>,
    /// Whether the caller asks what became of it.
    pub(crate) asks: bool,
}

/// What an event is posted under, so that it can be repeated.
#[derive(Debug)]
pub(crate) enum PostKey {
    /// A provider's own: it stands for the body.
    OfProvider(IdempotencyKey),
    /// A connector's, and what it stands for. Which callbacks were done is for the connector to know.
    OfConnector(IdempotencyKey, [u8; 32]),
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// It is no event.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It names somebody who is not in the customer's directory.
    #[error("somebody is named who is not in the directory")]
    Unknown(Faults),
    /// The caller may not post it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was not done, or not to its end.
    #[error(transparent)]
    Once(#[from] OnceError),
}

/// Takes an event. When it returns, what is live is in the socket or the queue of every session that it is for, and what is to
/// last is on disk.
///
/// # Errors
/// [`PostError`].
pub(crate) async fn post(node: &Node, speaker: &Speaker, bytes: &[u8], posting: Posting) -> Result<Once, PostError> {
    let Posting { when, key, asks } = posting;
    let envelope = Envelope::parse(bytes, &node.products)?;
    check_directory(node, speaker, &envelope)?;
    let stamp = Stamp { id: node.new_id_at(when.now.wall), at: when.now.wall };
    let event = authorise(&speaker.caller, speaker.customer, speaker.grant(), envelope, stamp)?;
    let key = key.map(|key| {
        let (key, body, kept) = match key {
            PostKey::OfProvider(key) => (key, Sha256::digest(bytes).into(), Kept::InMemory),
            PostKey::OfConnector(key, body) => (key, body, Kept::InStore),
        };
        let owner = Owner { client_id: event.client_id(), customer: Some(event.customer()), key };
        Key { owner, body, kept }
    });
    let key = key.as_ref();
    let work = |shown| dispatch(node, &event, Posted { when, key, shown, asks });
    Ok(once(&node.keys, key, when.now.running, work).await?)
}

/// Where the customer has a directory, everybody whom a provider names must be in it; the scope is asked for first, since the refusal
/// names who is there. A connector has found in it whom it names.
fn check_directory(node: &Node, speaker: &Speaker, envelope: &Envelope<'_>) -> Result<(), PostError> {
    if matches!(speaker.authority, Authority::Connector) {
        return Ok(());
    }
    let Some(directory) = node.directories.of(&speaker.customer) else { return Ok(()) };
    speaker.permit(Scope::TelephonyWrite)?;
    let faults = directory.check_envelope(envelope, speaker.customer);
    if faults.is_empty() { Ok(()) } else { Err(PostError::Unknown(faults)) }
}
