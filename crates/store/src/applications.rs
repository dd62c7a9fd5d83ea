//! Who may post, and for whom: applications with their granted scopes and the customers that installed them.

/// What became of a change to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// It stands.
    Done,
    /// There is no such application.
    NoApplication,
}
