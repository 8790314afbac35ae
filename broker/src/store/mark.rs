//! The mark: a small file beside the database that names the newest publication that may have been acknowledged.
//!
//! A database that lacks this publication has lost some: the write-ahead log was cut or removed, or an older copy was put in
//! its place. A mark that is missing, or is itself a copy, says the same. Then every topic needs a new epoch, because clients
//! may know offsets that would be assigned a second time.
//!
//! The mark is written after each commit and before its publications are acknowledged, and is not synced: what was
//! written survives the end of the process. A crash of the machine may leave an older mark, never a newer one. It names a
//! publication, because a count of commits would have to be in the database too, which is a page more to write with each.
//!
//! A copy is recognised by what copying changes: the inode and its time of birth, a time of modification that follows from
//! the content, and a file name that changes with every start and stop, so that copying over the files leaves two marks.
//! Copies made below the file system (volume snapshots) are not recognised; `fanwire restore` is for them.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanwire_protocol::Epoch;

use super::directory_sync::sync_directory;
use super::newest::Newest;

/// The beginning of the name of a mark; the rest is drawn anew at every start.
const NAME: &str = "fanwire.mark-";

/// The name of a mark that is not complete yet.
const UNFINISHED: &str = "fanwire.newmark";

/// The beginning of the content. The digit numbers the layout.
const MAGIC: [u8; 8] = *b"fw-mark2";

/// The length of the content.
const LENGTH: usize = 64;

/// The mark of an open database.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    content: Content,
}

/// The content of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content {
    /// The database it belongs to, as `State::database` identifies it.
    database: i64,
    /// The newest publication that may have been acknowledged.
    newest: Newest,
    /// The inode of the mark itself.
    inode: u64,
    /// The time at which the inode was made, in nanoseconds since 1970; 0 where the file system does not know.
    born_ns: u64,
    /// Whether the file system keeps a time of modification that is set.
    has_stamp: bool,
}

/// The reason why the mark does not vouch for the database, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch(pub(super) String);

impl Content {
    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.database.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.newest.topic.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.newest.epoch.number().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.newest.offset.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.inode.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.born_ns.to_le_bytes());
        bytes[56] = u8::from(self.has_stamp);
        let checksum = crc32fast::hash(&bytes[..LENGTH - 4]);
        bytes[LENGTH - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let checksum = u32::from_le_bytes(std::array::from_fn(|index| bytes[LENGTH - 4 + index]));
        if bytes[..8] != MAGIC || crc32fast::hash(&bytes[..LENGTH - 4]) != checksum {
            return None;
        }
        Some(Self {
            database: number(8) as i64,
            newest: Newest {
                topic: number(16) as i64,
                epoch: Epoch::from_random(number(24)),
                offset: number(32),
            },
            inode: number(40),
            born_ns: number(48),
            has_stamp: bytes[56] == 1,
        })
    }

    /// Whether this is the file that the content was written for. The time of birth decides where the file system knows it:
    /// an inode is reused when a file is removed, and some file systems number their inodes anew at every mount.
    fn is_of(&self, metadata: &fs::Metadata) -> bool {
        match (self.born_ns, born_ns(metadata)) {
            (0, _) | (_, 0) => self.inode == metadata.ino(),
            (own, found) => own == found,
        }
    }

    /// The time of modification that belongs to this content: whole seconds, which every file system keeps.
    fn stamp(&self) -> SystemTime {
        let mixed = self.newest.offset.wrapping_add(self.newest.topic.cast_unsigned().rotate_left(14));
        UNIX_EPOCH + Duration::from_secs(1_000_000_000 + (mixed & 0x0fff_ffff))
    }
}

fn born_ns(metadata: &fs::Metadata) -> u64 {
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    born.map_or(0, |born| born.as_nanos() as u64)
}

impl Mark {
    /// Makes a mark for the database that this number identifies, in which nothing was accepted yet under its epochs, and
    /// removes all others. Either all of it happens or the others stay.
    pub(super) fn create(directory: &Path, database: i64) -> io::Result<Self> {
        let unfinished = directory.join(UNFINISHED);
        let _no_older_attempt = fs::remove_file(&unfinished);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unfinished)?;
        let metadata = file.metadata()?;
        let mut content = Content {
            database,
            newest: Newest::NONE,
            inode: metadata.ino(),
            born_ns: born_ns(&metadata),
            has_stamp: true,
        };
        // The block is allocated now, so that a full disk does not keep a commit from being noted later.
        file.write_all_at(&content.to_bytes(), 0)?;
        let stamped = file.set_times(FileTimes::new().set_modified(content.stamp()));
        let is_kept = file.metadata()?.modified().is_ok_and(|modified| modified == content.stamp());
        content.has_stamp = stamped.is_ok() && is_kept;
        let path = directory.join(new_name());
        let mark = Self { file, path, content };
        mark.write()?;
        mark.file.sync_all()?;
        let others = marks(directory)?;
        fs::rename(&unfinished, &mark.path)?;
        for other in others {
            fs::remove_file(other)?;
        }
        sync_directory(directory)?;
        Ok(mark)
    }

    /// Opens the mark of the database that this number identifies, and gives it a new name. It vouches for the database if that
    /// has [`Mark::newest`].
    ///
    /// # Errors
    /// The outer error if files cannot be read, the inner if no mark vouches for the database.
    pub(super) fn open(directory: &Path, database: i64) -> io::Result<Result<Self, Mismatch>> {
        let mismatch = |reason: &str| Ok(Err(Mismatch(reason.to_owned())));
        let marks = marks(directory)?;
        let [path] = marks.as_slice() else {
            return mismatch(if marks.is_empty() {
                "the database has no mark beside it, as a copy has none"
            } else {
                "there are two marks, as when a copy is put over the files that were there"
            });
        };
        let (file, content) = match read(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return mismatch(&error.to_string()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let is_original = content.is_of(&metadata)
            && (!content.has_stamp || metadata.modified().is_ok_and(|modified| modified == content.stamp()));
        if content.database != database {
            return mismatch("the mark belongs to another database");
        }
        if !is_original {
            return mismatch("the files are a copy");
        }
        let renamed = directory.join(new_name());
        fs::rename(path, &renamed)?;
        Ok(Ok(Self { file, path: renamed, content }))
    }

    /// Returns the newest publication that may have been acknowledged. After a crash of the machine it may be an older one.
    pub(super) fn newest(&self) -> Newest {
        self.content.newest
    }

    /// Notes the newest publication that is about to be acknowledged.
    pub(super) fn note(&mut self, newest: Newest) -> io::Result<()> {
        self.content.newest = newest;
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        self.file.write_all_at(&self.content.to_bytes(), 0)?;
        if self.content.has_stamp {
            self.file.set_times(FileTimes::new().set_modified(self.content.stamp()))?;
        }
        Ok(())
    }

    /// Syncs the mark, so that a crash of the machine leaves one that is nearly current.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Drop for Mark {
    /// Gives the mark a new name. A copy that was made while the broker ran has the old one, so that two marks are found when it is
    /// put over the files of a broker that has stopped.
    fn drop(&mut self) {
        if let Some(directory) = self.path.parent() {
            // Where that is not possible, the next start does it.
            let _unchanged = fs::rename(&self.path, directory.join(new_name()));
        }
    }
}

/// Whether there is any mark.
pub(super) fn has_marks(directory: &Path) -> io::Result<bool> {
    marks(directory).map(|marks| !marks.is_empty())
}

fn marks(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(NAME) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn new_name() -> String {
    format!("{NAME}{:016x}", fastrand::u64(..))
}

fn read(path: &Path) -> io::Result<(File, Content)> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    (&file).take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    let content = Content::from_bytes(&bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the mark cannot be read"))?;
    Ok((file, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_survives_its_bytes_and_damage_is_noticed() {
        let newest = Newest { topic: 7, epoch: Epoch::from_random(u64::MAX), offset: 77 };
        let content = Content { database: -3, newest, inode: 5, born_ns: u64::MAX, has_stamp: true };
        let bytes = content.to_bytes();
        assert_eq!(Content::from_bytes(&bytes), Some(content));
        assert_eq!(Content::from_bytes(&bytes[1..]), None);
        for at in 0..LENGTH {
            let mut damaged = bytes;
            damaged[at] ^= 4;
            assert_eq!(Content::from_bytes(&damaged), None, "{at}");
        }
    }
}
