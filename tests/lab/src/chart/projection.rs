//! Volumes of ConfigMaps, Secrets and tokens, written and updated as a kubelet does it.
//!
//! The files of a volume are links through `..data`, itself a link to a directory of one version. An update writes the next
//! version beside it and swaps the one link by a rename, so that readers see all of it or nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

/// File names, possibly with directories, and contents.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

const CURRENT: &str = "..data";
const NEXT: &str = "..data_tmp";

/// Makes a directory show these files and no others. Returns whether anything changed.
pub(super) fn write(directory: &Path, files: &Files) -> Result<bool> {
    fs::create_dir_all(directory)?;
    let current = directory.join(CURRENT);
    let old = fs::read_link(&current).ok().map(|version| directory.join(version));
    if let Some(old) = &old
        && shows(old, files)?
    {
        return Ok(false);
    }
    let version = format!("..{}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
    for (name, bytes) in files {
        let path = Path::new(name);
        if !path.components().all(|c| matches!(c, Component::Normal(_))) || name.starts_with("..") {
            bail!("{name:?} is no file name for a volume");
        }
        let target = directory.join(&version).join(path);
        fs::create_dir_all(target.parent().context("a file without directory")?)?;
        fs::write(target, bytes)?;
    }
    fs::create_dir_all(directory.join(&version))?;
    symlink(&version, directory.join(NEXT))?;
    fs::rename(directory.join(NEXT), &current)?;

    let mut visible: Vec<&str> = files.keys().filter_map(|name| name.split('/').next()).collect();
    visible.dedup();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !visible.contains(&name.as_ref()) {
            fs::remove_file(directory.join(name.as_ref()))?;
        }
    }
    for name in visible {
        let link = directory.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(CURRENT).join(name), link)?;
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(old)?;
    }
    Ok(true)
}

fn shows(version: &Path, files: &Files) -> Result<bool> {
    let mut found = Files::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(inner) = pending.pop() {
        for entry in fs::read_dir(version.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                pending.push(path);
            } else {
                found.insert(path.to_string_lossy().into_owned(), fs::read(entry.path())?);
            }
        }
    }
    Ok(found == *files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> Files {
        entries.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn updates_swap_one_link() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let read = |name: &str| fs::read_to_string(path.join(name)).ok();
        assert!(write(path, &files(&[("a", "1"), ("b/c", "2")]))?);
        assert_eq!((read("a").as_deref(), read("b/c").as_deref()), (Some("1"), Some("2")));
        let first = fs::read_link(path.join(CURRENT))?;
        assert!(!write(path, &files(&[("a", "1"), ("b/c", "2")]))?, "nothing has changed");
        let inode = |name: &str| -> Result<PathBuf> { Ok(fs::read_link(path.join(name))?) };
        let link = inode("a")?;

        assert!(write(path, &files(&[("a", "3"), ("d", "4")]))?);
        assert_eq!((read("a").as_deref(), read("b/c"), read("d").as_deref()), (Some("3"), None, Some("4")));
        assert_eq!(inode("a")?, link, "the visible link stays");
        assert_ne!(fs::read_link(path.join(CURRENT))?, first);
        assert!(!path.join(first).exists());
        assert!(write(path, &files(&[("../x", "")])).is_err());
        Ok(())
    }
}
