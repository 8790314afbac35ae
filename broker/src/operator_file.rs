//! Reads the files that the operator names: keys, secrets and certificates.
//!
//! A leaf, and the one reader for all of them. A path may name a FIFO that never has a writer, a device without end, or a file
//! system that does not answer: the reader takes regular files only, and is bounded in size and time. A file that the command line names
//! may be a pipe too, as in `--token-file <(command)`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// The maximum size of a file in bytes. The bundle of all public certificate authorities has a fifth of it.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The time in which a file must be read.
pub const FILE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time in which a pipe must be read: the command that writes to it may have to fetch what it writes.
pub const PIPE_TIMEOUT: Duration = Duration::from_secs(60);

/// The permission bits that let every user of the machine read or change a file.
const OTHERS: u32 = 0o006;

/// An error that prevents the broker from using a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path names a directory, FIFO, socket or device.
    #[error("it is not a regular file")]
    NotRegular,
    /// The file is larger than [`FILE_BYTES_MAX`].
    #[error("it has more than {FILE_BYTES_MAX} bytes, and no file of this kind needs as many")]
    TooLarge,
    /// The file system did not answer within [`FILE_TIMEOUT`].
    #[error("it was not read within {} s: does the file system answer?", FILE_TIMEOUT.as_secs())]
    TimedOut,
    /// The pipe had no writer, or its writer did not end, within [`PIPE_TIMEOUT`].
    #[error("the pipe did not end within {} s: does a command write to it?", PIPE_TIMEOUT.as_secs())]
    PipeTimedOut,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a whole file. Blocks for at most [`FILE_TIMEOUT`].
///
/// # Errors
/// If the path names no regular file, a file that is too large, or one that cannot be read in time.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_within(path, FILE_TIMEOUT).map(|(bytes, _)| bytes)
}

/// Reads a file that a command line names: a regular file as [`read`] does, or a pipe within [`PIPE_TIMEOUT`].
///
/// # Errors
/// If the path names a directory, what is too large, or what cannot be read in time.
pub fn read_named(path: &Path) -> Result<Vec<u8>, FileError> {
    match std::fs::metadata(path)?.file_type() {
        kind if kind.is_file() => read(path),
        kind if kind.is_fifo() || kind.is_char_device() => {
            let path = path.to_owned();
            on_thread(PIPE_TIMEOUT, move || read_bounded(File::open(path)?))
                .unwrap_or(Err(FileError::PipeTimedOut))
        }
        _ => Err(FileError::NotRegular),
    }
}

/// Reads a file that holds a secret, as [`read`] does, and logs a warning if every user of the machine may read it. `key` is the
/// setting that names the file.
///
/// # Errors
/// As [`read`].
pub fn read_secret(key: &str, path: &Path) -> Result<Vec<u8>, FileError> {
    let (bytes, mode) = read_within(path, FILE_TIMEOUT)?;
    if is_news(path, mode & OTHERS != 0) {
        tracing::warn!(
            path = %path.display(),
            "{key}: every user of this machine can read or change the file, which holds a secret: chmod 640 or 600 it"
        );
    }
    Ok(bytes)
}

/// The files that a warning was logged for. A start reads some files several times, and one warning is enough.
static EXPOSED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Returns whether a file is exposed to all users, and was not when it was read before.
fn is_news(path: &Path, is_exposed: bool) -> bool {
    let mut exposed = EXPOSED.lock().unwrap_or_else(PoisonError::into_inner);
    if is_exposed {
        return exposed.insert(path.to_owned());
    }
    exposed.remove(path);
    false
}

fn read_within(path: &Path, timeout: Duration) -> Result<(Vec<u8>, u32), FileError> {
    let path = path.to_owned();
    on_thread(timeout, move || read_regular(&path)).unwrap_or(Err(FileError::TimedOut))
}

/// Reads on a thread of its own, which is left behind if the file system does not answer. Returns `None` after `timeout`.
fn on_thread<T: Send + 'static>(
    timeout: Duration,
    read: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Option<Result<T, FileError>> {
    let (send, receive) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("fanwire-file".to_owned()).spawn(move || {
        // The reader may have given up.
        let _late = send.send(read());
    });
    match spawned {
        Ok(_thread) => receive.recv_timeout(timeout).ok(),
        Err(error) => Some(Err(error.into())),
    }
}

fn read_regular(path: &Path) -> Result<(Vec<u8>, u32), FileError> {
    // Before it is opened: opening a FIFO waits for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(FileError::NotRegular);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular);
    }
    Ok((read_bounded(file)?, metadata.permissions().mode()))
}

fn read_bounded(file: File) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_regular_files_of_moderate_size_are_read() {
        let directory = std::env::temp_dir().join(format!("fanwire-files-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (fifo, large, small) = (directory.join("fifo"), directory.join("large"), directory.join("small"));
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::fs::write(&large, vec![b'x'; FILE_BYTES_MAX as usize + 1]).unwrap();
        std::fs::write(&small, "secret").unwrap();
        assert!(matches!(read(&fifo), Err(FileError::NotRegular)));
        assert!(matches!(read(Path::new("/dev/zero")), Err(FileError::NotRegular)));
        assert!(matches!(read(&directory), Err(FileError::NotRegular)));
        assert!(matches!(read(&large), Err(FileError::TooLarge)));
        assert!(matches!(read(&directory.join("none")), Err(FileError::Io(_))));
        assert_eq!(read(&small).unwrap(), b"secret");
        assert_eq!(read_named(&small).unwrap(), b"secret");
        assert!(matches!(read_named(&large), Err(FileError::TooLarge)));
        assert!(matches!(read_named(Path::new("/dev/zero")), Err(FileError::TooLarge)));
        assert!(matches!(read_named(&directory), Err(FileError::NotRegular)));
        assert_eq!(read_named(Path::new("/dev/null")).unwrap(), b"");
        let writer = std::thread::spawn({
            let fifo = fifo.clone();
            move || std::fs::write(fifo, "from a command")
        });
        assert_eq!(read_named(&fifo).unwrap(), b"from a command");
        writer.join().unwrap().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
