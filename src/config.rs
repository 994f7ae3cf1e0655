//! The policy file: read, checked, normalised, and watched for changes.
//!
//! The file is strict: what certgate does not understand it refuses, naming
//! the place, the field and the remedy, because a setting that is silently
//! ignored is found out only when a certificate is missing.

mod check;
pub mod metrics;
mod normalise;
mod outline;
mod syntax;
pub mod watch;

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::core::policy::Policy;

/// The largest policy file that is read. A ConfigMap cannot hold more (Kubernetes `ConfigMap`: 1 MiB).
pub const MAX_POLICY_OCTETS: usize = 1024 * 1024;
/// How many problems one error names; the rest is counted.
const NAMED_PROBLEMS: usize = 5;

/// Why a policy file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("policy {}: cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than [`MAX_POLICY_OCTETS`].
    #[error("policy {}: larger than 1 MiB; is this the right file?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a policy.
    #[error("policy {}:{problems}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Problems,
    },
}

/// What is wrong with a policy; at least one problem, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, counted from 1, where known.
    pub position: Option<(u64, u64)>,
    /// The field, as in `rules[0].match.hosts[2]`; empty for the file as a whole.
    pub path: String,
    /// What is wrong with it and what to write instead.
    pub message: String,
}

/// Reads and checks a policy file.
///
/// # Errors
/// The file cannot be read, is too large, or is not a policy.
pub fn load(path: &Path) -> Result<Policy, ConfigError> {
    parse(path, &read(path)?)
}

/// Checks the text of a policy file; `path` is only for messages.
///
/// # Errors
/// The text is not a policy.
pub fn parse(path: &Path, text: &str) -> Result<Policy, ConfigError> {
    let invalid = |problems| ConfigError::Invalid { path: path.to_owned(), problems };
    let mut policy = syntax::parse(text).map_err(|problem| invalid(Problems(vec![problem])))?;
    normalise::normalise(&mut policy);
    let faults = check::check(&policy);
    if faults.is_empty() {
        return Ok(policy);
    }
    let outline = outline::Outline::of(text);
    let mut problems: Vec<_> = faults
        .into_iter()
        .map(|fault| Problem {
            position: outline.as_ref().and_then(|outline| outline.position(&fault.path)),
            path: outline::render(&fault.path),
            message: syntax::one_line(&fault.message),
        })
        .collect();
    problems.sort_by_key(|problem| problem.position);
    Err(invalid(Problems(problems)))
}

/// The JSON schema of the policy file.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Policy)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut octets = Vec::new();
    let limit = MAX_POLICY_OCTETS as u64 + 1;
    std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut octets)).map_err(unreadable)?;
    if octets.len() > MAX_POLICY_OCTETS {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(octets)
        .map_err(|_| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text")))
}

// === impl Problems ===

impl Problems {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().take(NAMED_PROBLEMS).enumerate() {
            let separator = match (i, problem.position) {
                (0, Some(_)) => "",
                (0, None) => " ",
                _ => "; ",
            };
            write!(f, "{separator}{problem}")?;
        }
        match self.0.len().saturating_sub(NAMED_PROBLEMS) {
            0 => Ok(()),
            1 => f.write_str("; and one more"),
            more => write!(f, "; and {more} more"),
        }
    }
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests;
