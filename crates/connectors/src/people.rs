//! A vendor's names → negotiators.

use protocol::directory::Directory;
use protocol::id::NegotiatorId;

/// How the people whom callbacks name are found.
#[derive(Debug, Clone, Copy)]
pub enum People<'a> {
    /// By the customer's directory.
    Directory(&'a Directory),
    /// The customer has none: a name that can be a negotiator's id is one.
    Ids,
    /// A name stands for itself: for trying a callback out.
    Names,
}

impl People<'_> {
    /// The negotiator with one of these names, tried in this order.
    pub(crate) fn find(self, names: &[&str]) -> Option<String> {
        let mut given = names.iter().filter(|name| !name.is_empty());
        match self {
            Self::Directory(directory) => directory.find(names).map(|person| person.negotiator_id.to_string()),
            Self::Ids => given.find(|name| NegotiatorId::parse(name).is_ok()).map(|name| (*name).to_owned()),
            Self::Names => given.next().map(|name| (*name).to_owned()),
        }
    }

    /// The members of a queue with one of these names.
    pub(crate) fn members(self, names: &[&str]) -> Vec<String> {
        match self {
            Self::Directory(directory) => directory.members(names).unwrap_or_default().iter().map(ToString::to_string).collect(),
            Self::Ids | Self::Names => Vec::new(),
        }
    }
}
