//! A small disk, which can be full or read-only.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use uuid::Uuid;

const KIBIBYTE: [u8; 1024] = [0; 1024];

/// Mounted on a folder of its own (tmpfs), and gone with the value.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// With so many MiB. `None` where this process may not mount: the caller says what is not tried.
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("trunkline-disk-{}", Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        let size = format!("size={mebibytes}m,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            Some(Self { folder })
        } else {
            fs::remove_dir(&folder).unwrap();
            None
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Takes all the room that is left, for a file that is of no use.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        while file.write_all(&KIBIBYTE).is_ok() {}
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// From now on nothing can be written to it. Nobody may have a file open on it.
    pub fn make_read_only(&self) {
        let mut remount = Command::new("mount");
        remount.args(["-o", "remount,ro"]).arg(&self.folder);
        assert!(remount.status().unwrap().success());
    }

    /// Gives it to another user, and to all who look.
    pub fn give_to(&self, user: &str) {
        fs::set_permissions(&self.folder, Permissions::from_mode(0o755)).unwrap();
        let mut chown = Command::new("chown");
        assert!(chown.arg(user).arg(&self.folder).status().unwrap().success());
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while somebody has a file open on it: a process that a failed test has left.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        let _ = fs::remove_dir(&self.folder);
    }
}
