//! Where the program is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The program under test: what `TRUNKLINE_BINARY` names, else the one of this workspace, brought up to date first.
pub fn program() -> &'static Path {
    PROGRAM.get_or_init(|| env::var_os("TRUNKLINE_BINARY").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // This test is TARGET/PROFILE/deps/NAME; the program stands beside `deps`.
    let test = env::current_exe().expect("cannot find this test");
    let profile = test.ancestors().nth(2).expect("this test is in no target folder");
    let target = profile.parent().expect("this test is in no target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--package", "trunkline", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // What the runner of the tests says of this package would make cargo build other packages anew.
    for (name, _) in env::vars_os() {
        let of_this_package = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if of_this_package
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            cargo.env_remove(name);
        }
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cannot run cargo");
    assert!(status.success(), "cannot build the program");
    profile.join(format!("trunkline{}", env::consts::EXE_SUFFIX))
}
