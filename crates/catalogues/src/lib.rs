//! The topics that can be subscribed to, as data (`protocol/catalogues/`, compiled in), and what their events must look like.
//!
//! A crate of its own, since the validator is generic and would be compiled into everything that calls it.

pub mod when; // which changes fire a status topic
pub mod catalogue; // the topics

pub use self::catalogue::{CatalogueError, Catalogues, Entity, OWN, ReportContent, Topic, is_uuid};
pub use self::when::Trigger;
