//! A disk of a few megabytes, in a mount namespace of its own, so that a test can fill it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{eventually, temporary};

/// A disk in memory. It is gone when this is dropped. User namespaces must be allowed on the machine.
pub struct SmallDisk {
    keeper: Child,
    mounted_at: PathBuf,
}

impl SmallDisk {
    /// Makes a disk of `size`, such as `6m`.
    pub fn new(size: &str) -> Self {
        let mounted_at = temporary("disk");
        std::fs::create_dir(&mounted_at).expect("a directory can be made");
        let script = format!(
            "mount -t tmpfs -o size={size},mode=700 tmpfs \"$0\" && touch \"$0\"/mounted && exec sleep 600"
        );
        let keeper = Command::new("unshare")
            .args(["-r", "-m", "sh", "-c", &script])
            .arg(&mounted_at)
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare (util-linux) is there");
        let disk = Self { keeper, mounted_at };
        let mark = disk.outside().join("mounted");
        eventually("the disk is mounted; this needs user namespaces", || mark.exists().then_some(()));
        std::fs::remove_file(mark).expect("it is ours");
        disk
    }

    /// The start of a command that sees the disk.
    pub fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "-U", "-m", "-t", &self.keeper.id().to_string(), "--"]);
        command
    }

    /// The path of the disk for such a command.
    pub fn mounted_at(&self) -> &Path {
        &self.mounted_at
    }

    /// The path of the disk for this process.
    pub fn outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.mounted_at.strip_prefix("/").expect("temporary folders have absolute paths"))
    }

    /// Fills what is free with a file, as a neighbour on the disk would.
    pub fn fill(&self) {
        let block = vec![0; 4096];
        let mut file = std::fs::File::create(self.outside().join("other")).expect("a file can be made");
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The mount goes with the last process that sees it.
        let _gone = self.keeper.kill();
        let _reaped = self.keeper.wait();
        let _left_behind = std::fs::remove_dir(&self.mounted_at);
    }
}
