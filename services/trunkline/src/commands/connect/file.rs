//! `trunkline.toml`, changed without touching what else stands in it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, Item, Value};

/// The file as it is to be.
pub(super) struct SettingsFile {
    path: PathBuf,
    document: DocumentMut,
    is_changed: bool,
}

impl SettingsFile {
    /// Reads it; one that is not there is empty.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let document = text
            .parse()
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            document,
            is_changed: false,
        })
    }

    /// Sets a setting, in lower case unless it stands there otherwise. A comment behind it stays.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let names = self.document.iter().map(|(name, _)| name.to_owned());
        let there = names.into_iter().find(|there| there.eq_ignore_ascii_case(name));
        let name = there.unwrap_or_else(|| name.to_lowercase());
        let item = self.document.entry(&name).or_insert(Item::None);
        let mut new = Value::from(value);
        if let Some(old) = item.as_value() {
            if old.as_str() == Some(value) {
                return;
            }
            *new.decor_mut() = old.decor().clone();
        }
        *item = Item::Value(new);
        self.is_changed = true;
    }

    /// Writes it whole or not at all, for its owner's eyes only: there are keys in it.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        self.write()
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.is_changed = false;
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        // Where it is a link to elsewhere, the link stays.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Made with mode 0600.
        let mut new = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        new.write_all(self.document.to_string().as_bytes())?;
        // Whoever could read it can read it still, should another user run this.
        if let Ok(old) = fs::metadata(&path) {
            let made = new.as_file().metadata()?;
            if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
                chown(new.path(), Some(old.uid()), Some(old.gid()))?;
            }
        }
        new.as_file().sync_all()?;
        new.persist(&path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn changed(before: Option<&str>, set: &[(&str, &str)]) -> (String, u32) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trunkline.toml");
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
        let mut file = SettingsFile::read(&path).unwrap();
        for (name, value) in set {
            file.set(name, value);
        }
        file.save().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        (fs::read_to_string(&path).unwrap(), mode)
    }

    #[test]
    fn a_new_file_holds_what_was_set_and_is_its_owners_alone() {
        let (text, mode) = changed(
            None,
            &[("CALLRAIL_API_KEY", "k"), ("CALLRAIL_ACCOUNT_ID", "ACC1")],
        );
        assert_eq!(text, "callrail_api_key = \"k\"\ncallrail_account_id = \"ACC1\"\n");
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn comments_order_and_other_settings_stay() {
        let before = "# ours\nhttp_address = '1.2.3.4:1'  # public\n\nCallRail_Signing_Keys = \"a\" # old\n";
        let (text, mode) = changed(
            Some(before),
            &[("CALLRAIL_SIGNING_KEYS", "a,b"), ("CALLRAIL_API_KEY", "k")],
        );
        assert_eq!(
            text,
            "# ours\nhttp_address = '1.2.3.4:1'  # public\n\nCallRail_Signing_Keys = \"a,b\" # old\n\
             callrail_api_key = \"k\"\n"
        );
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn what_is_set_already_is_not_written_again() {
        let before = "callrail_api_key='k'";
        let (text, mode) = changed(Some(before), &[("CALLRAIL_API_KEY", "k")]);
        assert_eq!(text, before);
        assert_ne!(mode, 0o600, "it was not touched");
    }
}
