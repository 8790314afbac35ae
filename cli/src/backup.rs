//! `fanwire backup` and `fanwire restore`: copies of the database of durable topics.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fanwire_broker::config::{self, Overrides};
use fanwire_broker::store;

const BACKUP_EXAMPLES: &str = "\
The broker may run meanwhile. The backup is one SQLite database, as of one moment.

Examples:
  fanwire backup --data-dir /var/lib/fanwire /var/backups/fanwire-monday
  fanwire backup --config /etc/fanwire/fanwire.toml /var/backups/fanwire-monday";

const RESTORE_EXAMPLES: &str = "\
Stop the broker first. The database that was in the data directory is kept there as fanwire.db.before-restore. Every \
topic begins a new epoch, so that clients which saw newer publications notice that they are missing.

Examples:
  fanwire restore --data-dir /var/lib/fanwire /var/backups/fanwire-monday";

/// Copy the database of durable topics to a new directory.
#[derive(Debug, clap::Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    source: DataDirectory,
    /// Directory for the backup; created, and must not exist yet.
    #[arg(value_name = "BACKUP")]
    target: PathBuf,
}

/// Put a backup into a data directory.
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    target: DataDirectory,
    /// Directory with the backup.
    #[arg(value_name = "BACKUP")]
    source: PathBuf,
}

#[derive(Debug, clap::Args)]
struct DataDirectory {
    /// Data directory of the broker [default: what the configuration says].
    #[arg(long, value_name = "DIRECTORY", env = "FANWIRE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file (TOML) of the broker.
    #[arg(long, value_name = "FILE", env = "FANWIRE_CONFIG")]
    config: Option<PathBuf>,
}

impl DataDirectory {
    fn path(self) -> Result<PathBuf, Box<dyn Error>> {
        if let Some(path) = self.data_dir {
            return Ok(path);
        }
        // A variable that is not text cannot be a setting of ours.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let config = config::load(self.config.as_deref(), environment, &Overrides(Vec::new()))?;
        config.data_dir.ok_or_else(|| {
            "name the data directory with --data-dir, or the file that does with --config".into()
        })
    }
}

/// Makes a backup and returns the exit code.
pub(crate) fn backup(args: BackupArgs) -> ExitCode {
    report("backup", || {
        store::backup(&args.source.path()?, &args.target)?;
        Ok(format!("the backup is in {}", args.target.display()))
    })
}

/// Restores a backup and returns the exit code.
pub(crate) fn restore(args: RestoreArgs) -> ExitCode {
    report("restore", || {
        let directory = args.target.path()?;
        let kept = store::restore(&args.source, &directory)?;
        Ok(summary(&args.source, &directory, kept.as_deref()))
    })
}

fn summary(source: &Path, directory: &Path, kept: Option<&Path>) -> String {
    let restored = format!("{} is restored to {}", source.display(), directory.display());
    match kept {
        Some(kept) => format!("{restored}; the database that was there is kept as {}", kept.display()),
        None => restored,
    }
}

fn report(command: &str, work: impl FnOnce() -> Result<String, Box<dyn Error>>) -> ExitCode {
    match work() {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fanwire {command}: {error}");
            ExitCode::FAILURE
        }
    }
}
