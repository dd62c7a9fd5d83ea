//! What a run of the node hands to the next one, opaque here.

use protocol::id::Recipient;

/// What a run hands to the next, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handover {
    /// The ring and the live calls of each recipient.
    pub states: Vec<(Recipient, String)>,
    /// What became of each event.
    pub receipts: Vec<String>,
    /// The calls of each connector.
    pub connectors: Vec<(String, String)>,
}
