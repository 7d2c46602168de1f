//! Tells the program which commit it is built from: `TRUNKLINE_COMMIT`, else what git says.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=TRUNKLINE_COMMIT");
    // A line is added to it whenever another commit is checked out or made.
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let given = std::env::var("TRUNKLINE_COMMIT").ok();
    let commit = given
        .filter(|commit| !commit.is_empty())
        .or_else(|| git(&["rev-parse", "--short=12", "HEAD"]))
        .unwrap_or_else(|| "unknown commit".to_owned());
    let version = env!("CARGO_PKG_VERSION");
    println!("cargo::rustc-env=TRUNKLINE_VERSION={version} ({commit})");
}

/// What git says of the checkout; nothing where there is no git or no checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let told = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    told.status.success().then(|| text.trim().to_owned())
}
