//! The pages that tell of settings: `docs/settings.md` is made from [`KEYS`], the README's short table compared with it.

use std::path::Path;

use super::{EVERY_SERVICE, KEYS, Key};

/// Above which setting a new part of the page begins, and what it is called.
const PARTS: &[(&str, &str)] = &[
    ("CALLRAIL_SIGNING_KEYS", "CallRail"),
    ("DATABASE_URL", "Database, queue, files"),
    ("PUSHER_URL", "Alerts"),
    ("JWT_SECRET", "The API for the CRM"),
    ("RECORDING_HOSTS", "Recordings"),
    ("TRUSTED_PROXIES", "Addresses"),
    ("CRM_CONTACTS_EVERY", "People and calls"),
    ("RETRY_LADDER", "The process"),
];

const TABLE: &str = "\n\n| setting | default | meaning | read by |\n|---|---|---|---|\n";

const HEAD: &str = "\
<!-- Made from the table in crates/runtime/src/settings.rs. To change it, change that, and call
     WRITE_PAGES=1 cargo test --package runtime settings::page -->

# Settings

None has to be set: `trunkline run` starts without any, and refuses webhooks until it knows a signing key. Which ones an
office needs, tells the [README](../README.md#settings); whether yours are right, `trunkline doctor`.

**Where they stand**, later ones win:

1. `trunkline.toml` in the working folder, with names in lower case: `default_region = \"US\"`. A name that is no setting
   stops the program. `trunkline connect` writes this file.
2. `.env` in the working folder.
3. The environment.
4. A file that `NAME_FILE` names in the environment or in `.env`: `JWT_SECRET_FILE=/run/secrets/jwt_secret`. Every setting can be
   given so; do it with those marked *secret*.

An empty value counts as not set. What begins with `CALLRAIL_` or `PUSHER_` and is no setting is warned of. All are read at
the start, but for the mounted files of CallRail's API key and token, which are read again when they change. Spans of time
are written `500ms`, `10s`, `1m`, `2h`. Values of secrets are never printed or logged.

*Read by* names the services for which a setting makes a difference; `trunkline run` is all of them. Commands such as
`import` or `doctor` read what they need: call them with the settings of the services.
";

#[test]
fn docs_settings_is_made_from_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let page = page();
    if std::env::var_os("WRITE_PAGES").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap();
    let differing = page
        .lines()
        .zip(stored.lines())
        .find(|(ours, theirs)| ours != theirs);
    assert!(
        page == stored,
        "docs/settings.md and the table of settings differ, first in {differing:?}: write the page anew by\n\
         WRITE_PAGES=1 cargo test --package runtime settings::page"
    );
}

#[test]
fn the_readme_tells_the_same() {
    let readme = include_str!("../../../../README.md");
    let rows: Vec<(&str, &str)> = readme
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            Some((name, cells.next()?.trim_matches('`')))
        })
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(rows.len() >= 5, "the README's table is not found: {rows:?}");
    for (name, default) in rows {
        let key = super::find(name);
        assert_eq!(key.map(|key| key.default), Some(default), "{name} in the README");
    }
}

#[test]
fn every_setting_is_read_by_somebody() {
    for key in KEYS {
        assert!(!key.read_by.is_empty(), "{}: .read_by(…) is missing", key.name);
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for key in KEYS {
        if let Some((_, title)) = PARTS.iter().find(|(first, _)| *first == key.name) {
            page += &["\n## ", title, TABLE].concat();
        }
        page += &row(key);
    }
    page
}

fn row(key: &Key) -> String {
    let default = if key.default.is_empty() {
        String::new()
    } else {
        format!(" `{}`", key.default)
    };
    let secret = if key.is_secret { " *Secret.*" } else { "" };
    let read_by = if key.read_by == EVERY_SERVICE {
        "every service".to_owned()
    } else {
        key.read_by.join(", ")
    };
    assert!(!key.meaning.contains('|'), "{}: a cell cannot hold it", key.name);
    format!(
        "| `{}` |{default} | {}{secret} | {read_by} |\n",
        key.name, key.meaning
    )
}
