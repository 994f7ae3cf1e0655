//! The key of a build: a hash of what goes into it.

use std::fmt::Write;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Recipe;
use super::build::FLAGS;

/// So much of the hash names the directory.
const KEY_BYTES: usize = 8;

pub(super) fn of(recipe: &Recipe, sources: &[(PathBuf, Vec<u8>)], go: &str) -> String {
    let mut hash = Sha256::new();
    // Every field is preceded by its length, so that no two lists of fields look alike.
    let mut add = |field: &[u8]| {
        hash.update(field.len().to_be_bytes());
        hash.update(field);
    };
    add(go.as_bytes());
    for flag in FLAGS {
        add(flag.as_bytes());
    }
    add(recipe.ldflags.as_bytes());
    for package in &recipe.packages {
        add(package.path.as_bytes());
        add(package.program.as_bytes());
    }
    for (path, bytes) in sources {
        add(path.as_os_str().as_encoded_bytes());
        add(bytes);
    }
    hash.finalize().iter().take(KEY_BYTES).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;

    #[test]
    fn key_changes_with_whatever_changes_the_programs() {
        let recipe = Part::Core.recipe(false);
        let sources = vec![(PathBuf::from("go.mod"), b"module a".to_vec())];
        let key = of(&recipe, &sources, "go1.26.0");
        assert_eq!(key, of(&recipe, &sources, "go1.26.0"));
        assert_eq!(key.len(), 2 * KEY_BYTES);

        let edited = vec![(PathBuf::from("go.mod"), b"module b".to_vec())];
        let renamed = vec![(PathBuf::from("go.modm"), b"odule a".to_vec())];
        let keys = [
            key,
            of(&recipe, &edited, "go1.26.0"),
            of(&recipe, &renamed, "go1.26.0"),
            of(&recipe, &sources, "go1.26.1"),
            of(&Part::Core.recipe(true), &sources, "go1.26.0"),
            of(&Part::Traefik.recipe(false), &sources, "go1.26.0"),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
    }

    #[test]
    fn every_source_is_there() -> anyhow::Result<()> {
        for part in Part::ALL {
            part.recipe(false).read_sources()?;
            assert_eq!(Part::from_name(part.name()), Some(part));
        }
        Ok(())
    }
}
