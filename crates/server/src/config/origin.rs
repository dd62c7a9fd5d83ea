//! Where a value of the configuration came from, and what is wrong with one.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The reference that is compiled in.
    Default,
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key; empty where a text cannot be read at all.
    pub key: String,
    /// What is wrong, in words that follow the key.
    pub message: String,
    /// Where the value came from.
    pub origin: Origin,
}

impl Origin {
    /// As programs read it.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Default => json!({"source": "default"}),
            Self::File { path, line } => json!({"source": "file", "file": path, "line": line}),
            Self::Environment(name) => json!({"source": "environment", "name": name}),
            Self::Flag(name) => json!({"source": "flag", "name": name}),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            // As compilers write it, so that editors find the line.
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl ConfigFault {
    /// As programs read it.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut shown = self.origin.json();
        if let Value::Object(shown) = &mut shown {
            shown.insert("key".to_owned(), Value::from(self.key.as_str()));
            shown.insert("message".to_owned(), Value::from(self.message.as_str()));
        }
        shown
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}
