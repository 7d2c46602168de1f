//! Host names that can be lost.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use uuid::Uuid;

/// Run by a shell in a mount namespace of its own.
const RUN: &str =
    "mount --bind \"$0/hosts\" /etc/hosts && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && exec \"$@\"";

/// Nobody answers there, which is known at once.
const RESOLVER: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/// Names of this machine that only those processes know that are run by [`Names::run_by`], and only while they may.
pub struct Names {
    folder: PathBuf,
}

impl Names {
    /// `None` where this process may not mount: the caller says what is not tried.
    pub fn new() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("trunkline-names-{}", Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("resolv.conf"), RESOLVER).unwrap();
        let names = Self { folder };
        names.are_known(true);
        let [program, arguments @ ..] = &names.run_by()[..] else {
            return None;
        };
        let tried = Command::new(program).args(arguments).arg("true").output();
        tried.is_ok_and(|output| output.status.success()).then_some(names)
    }

    /// The address by a name: of `127.0.0.1:5672` and `broker` `broker.trunkline.test:5672`.
    pub fn named(&self, name: &str, address: &str) -> String {
        let (_, port) = address.rsplit_once(':').unwrap();
        format!("{name}.trunkline.test:{port}")
    }

    /// What goes before the program and its arguments.
    pub fn run_by(&self) -> Vec<OsString> {
        let shell = ["unshare", "--mount", "sh", "-c", RUN].map(OsString::from);
        shell.into_iter().chain([self.folder.clone().into()]).collect()
    }

    /// From now on the names are known, or are not. Connections that there are stay.
    pub fn are_known(&self, known: bool) {
        let names = ["broker", "database", "pusher"].map(|name| format!("127.0.0.1 {name}.trunkline.test\n"));
        let hosts = if known { names.concat() } else { String::new() };
        // Written in place, since the file itself is mounted.
        fs::write(self.folder.join("hosts"), hosts).unwrap();
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
