//! A vendor's names → negotiators.

use protocol::directory::Directory;
use protocol::id::NegotiatorId;

use crate::fact::Party;

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
    /// Returns the person with one of these names, tried in this order; `None` where all are empty.
    pub(crate) fn party(self, names: &[&str]) -> Option<Party> {
        let mut given = names.iter().filter(|name| !name.is_empty());
        let known = match self {
            Self::Directory(directory) => {
                directory.find(names).filter(|person| person.active).map(|person| person.negotiator_id.to_string())
            }
            Self::Ids => given.clone().find(|name| NegotiatorId::parse(name).is_ok()).map(|name| (*name).to_owned()),
            Self::Names => given.clone().next().map(|name| (*name).to_owned()),
        };
        known.map(Party::Known).or_else(|| given.next().map(|name| Party::Unknown((*name).to_owned())))
    }

    /// Returns the members of a queue with one of these names.
    pub(crate) fn members(self, names: &[&str]) -> Vec<Party> {
        match self {
            Self::Directory(directory) => {
                let members = directory.members(names).unwrap_or_default().iter().copied();
                let active = members.filter(|id| directory.person(*id).is_some_and(|person| person.active));
                active.map(|id| Party::Known(id.to_string())).collect()
            }
            Self::Ids | Self::Names => Vec::new(),
        }
    }
}
