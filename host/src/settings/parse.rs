//! Parses a manifest and checks it.

use super::toml_error::explain;
use super::{check::check, manifest::Manifest};

/// An unusable manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("{0}")]
    Syntax(String),
    #[error("{0}")]
    Meaning(String),
}

impl Manifest {
    /// Parses the text of a manifest and checks it.
    ///
    /// # Errors
    /// It is not TOML, has an unknown key or value, or is invalid as a whole.
    pub(crate) fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| ManifestError::Syntax(explain(&error)))?;
        check(&manifest).map_err(ManifestError::Meaning)?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use disperse_scheduler::Policy;

    use super::*;
    use crate::limits::Limits;

    #[test]
    fn error_on_an_unknown_key_names_the_nearest_one() {
        let error = Manifest::parse("[limits]\nmemmory = \"1GiB\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean `memory`?"), "{error}");
    }

    #[test]
    fn missing_values_leave_the_base_unchanged() {
        let manifest = Manifest::parse("[limits]\nfuel = \"1M\"\n[health]\nquarantine = \"1s\"\n").unwrap();
        assert_eq!(
            manifest.limits.over(Limits::WORKER),
            Limits {
                fuel: 1_000_000,
                ..Limits::WORKER
            }
        );
        let policy = manifest.health.over(Policy::default());
        assert_eq!(policy.quarantine_min.as_secs(), 1);
        assert_eq!(policy.evict_after, Policy::default().evict_after);
    }
}
