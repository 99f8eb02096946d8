//! Writer of a new configuration file: whole or not at all, and never over an operator's own.
//!
//! A lock on the folder lets one command write at a time. The next one finds the settings of the
//! first, whose secret has signed an invitation already.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Uid, User, access};

use super::CliError;
use crate::operator_file;

/// System user of the service, which owns the file.
const SERVICE_USER: &str = "byway";

/// Checks that `path` may be written: that nothing is there, or a file that sets no key, and that
/// this user may write to the folder.
///
/// # Errors
/// [`CliError::NewConfiguration`].
pub(super) fn check_free(path: &Path) -> Result<(), CliError> {
    place(path).map(drop)
}

/// Writes a configuration to `path` with mode 0600. Root gives it to the service's user.
///
/// # Errors
/// As [`check_free`], and [`CliError::NewConfiguration`] with the system's error. The file is then
/// as it was.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let at = place(path)?.path;
    let folder = folder(&at);
    let is_new = !folder.is_dir();
    let failed = |error: io::Error| refused(path, &error);
    if is_new {
        DirBuilder::new().mode(0o755).create(folder).map_err(failed)?;
    }
    let lock = lock(folder, path)?;
    // Another command may have written before the lock was free.
    let place = place(path)?;
    let draft = draft(&place.path);
    if lock.is_some() {
        // Left by a command that was killed; it has a secret.
        let _ = fs::remove_file(&draft);
    }
    let written = write_whole(&draft, text).and_then(|()| publish(&draft, &place));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
        if is_new {
            let _ = fs::remove_dir(folder);
        }
    }
    written.map_err(failed)
}

/// Formats a basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // They end at U+009F.
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Lock of a folder, which also ends with the process.
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // A child process that has just been forked may hold the descriptor, too.
        let _ = self.0.unlock();
    }
}

/// Locks a folder. Returns `None` on file systems without locks.
fn lock(folder: &Path, path: &Path) -> Result<Option<FolderLock>, CliError> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(FolderLock(file))),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => Err(CliError::NewConfiguration {
            path: path.to_owned(),
            reason: "another `byway init` or `byway import` writes to this folder".to_owned(),
            remedy: "wait for its end, and read what it has written",
        }),
    }
}

/// Name of the file before it is complete.
fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.draft"))
}

/// Place of a configuration that may be written.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Whether a file without settings is there, which will be replaced.
    replaces: bool,
}

fn place(named: &Path) -> Result<Place, CliError> {
    // A symbolic link stays, and the file that it leads to is replaced.
    let path = match fs::canonicalize(named) {
        Ok(path) => path,
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ELOOP))
                && fs::symlink_metadata(named).is_ok_and(|found| found.is_symlink()) =>
        {
            return Err(CliError::NewConfiguration {
                path: named.to_owned(),
                reason: "this is a symbolic link that leads to no file".to_owned(),
                remedy: "create the file that it leads to, or remove the link",
            });
        }
        Err(_) => named.to_owned(),
    };
    let replaces = match operator_file::read_text(&path, operator_file::CONFIGURATION) {
        Ok(text) if text.lines().all(is_comment) => true,
        Ok(_) => {
            return Err(CliError::NewConfiguration {
                path: named.to_owned(),
                reason: "this file sets keys already".to_owned(),
                remedy: "move it away, or name another file: byway --config FILE",
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(refused(named, &error)),
    };
    let folder = folder(&path);
    // A missing folder is made, but not its parents: a wrong path would become a tree.
    let written_to = if folder.is_dir() { folder } else { self::folder(folder) };
    access(written_to, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|error| refused(named, &error.into()))?;
    Ok(Place { path, replaces })
}

/// Whether a line sets nothing.
fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Writes the draft to the disk.
fn write_whole(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    // The umask may have removed more.
    file.set_permissions(Permissions::from_mode(0o600))?;
    if Uid::effective().is_root() {
        // A list of users that cannot be read counts as one without this user.
        if let Some(user) = User::from_name(SERVICE_USER).ok().flatten() {
            fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Gives the draft its name. A file that another program has written meanwhile stays.
fn publish(draft: &Path, to: &Place) -> io::Result<()> {
    if to.replaces {
        fs::rename(draft, &to.path)?;
    } else {
        match fs::hard_link(draft, &to.path) {
            Ok(()) => fs::remove_file(draft)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // Some file systems have no links.
            Err(_) => fs::rename(draft, &to.path)?,
        }
    }
    // The file has its name by now. Folders of some file systems cannot be synced.
    let _ = File::open(folder(&to.path)).and_then(|folder| folder.sync_all());
    Ok(())
}

fn refused(path: &Path, error: &io::Error) -> CliError {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run the command with sudo, or name another file: byway --config FILE"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space on this disk, then run the command again"
        }
        io::ErrorKind::ReadOnlyFilesystem => "name a file on a writable file system: byway --config FILE",
        io::ErrorKind::AlreadyExists => {
            "read what another program has just written, then run the command again"
        }
        _ => "check the path and its folder: byway --config FILE",
    };
    CliError::NewConfiguration {
        path: path.to_owned(),
        reason: format!("cannot be written: {error}"),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_new_file_is_private_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["turnserver.toml", "byway/turnserver.toml"].map(|path| folder.path().join(path)) {
            write(&path, "realm = \"a\"\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "realm = \"a\"\n");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            assert_eq!(files(path.parent().unwrap()), 1);
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn threat_54_a_file_with_settings_stays_and_one_of_comments_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turnserver.toml");
        for settings in ["realm = \"a\"", "# a\n[listen]\n", "not toml at all", "\u{feff}# a"] {
            fs::write(&path, settings).unwrap();
            let error = write(&path, "new").unwrap_err().to_string();
            assert!(error.contains("this file sets keys already\n  remedy: move it away"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), settings);
        }
        for comments in ["", "# realm = \"a\"\n\n  # b\n"] {
            fs::write(&path, comments).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            write(&path, "new").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert_eq!(files(folder.path()), 1);
    }

    #[test]
    fn settings_that_arrive_meanwhile_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turnserver.toml");
        let place = place(&path).unwrap();
        fs::write(&path, "realm = \"a\"").unwrap();
        let draft = folder.path().join("draft");
        write_whole(&draft, "new").unwrap();
        assert_eq!(publish(&draft, &place).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "realm = \"a\"");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("to"), folder.path().join("link"));
        fs::write(&path, "# comment\n").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_link_to_nothing_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        for (link, to) in [("nowhere", "missing"), ("self", "self")] {
            let link = folder.path().join(link);
            std::os::unix::fs::symlink(to, &link).unwrap();
            let error = check_free(&link).unwrap_err().to_string();
            assert!(error.contains("leads to no file\n  remedy: create the file"), "{error}");
        }
        assert_eq!(files(folder.path()), 2);
    }

    #[test]
    fn threat_54_a_draft_of_a_command_that_was_killed_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turnserver.toml");
        fs::write(draft(&path), "secrets = [\"of a run that was kil").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(files(folder.path()), 1, "the draft with its secret is gone");
    }

    #[test]
    fn threat_54_one_of_several_commands_writes_and_the_others_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turnserver.toml");
        for before in [None, Some("# comments\n")] {
            let _ = fs::remove_file(&path);
            before.inspect(|text| fs::write(&path, text).unwrap());
            let texts: Vec<String> = (0..16).map(|n| format!("realm = \"{n}\"\n")).collect();
            let run = |text: &str| write(&path, text).is_ok();
            let written: Vec<&str> = std::thread::scope(|scope| {
                let runs: Vec<_> =
                    texts.iter().map(|text| (text.as_str(), scope.spawn(|| run(text)))).collect();
                runs.into_iter().filter_map(|(text, run)| run.join().unwrap().then_some(text)).collect()
            });
            assert_eq!(written, [fs::read_to_string(&path).unwrap()]);
            assert_eq!(files(folder.path()), 1);
        }
    }

    #[test]
    fn a_command_does_not_write_while_another_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turnserver.toml");
        let other = lock(folder.path(), &path).unwrap();
        let error = write(&path, "new").unwrap_err().to_string();
        assert!(error.contains("another `byway init`") && error.contains("\n  remedy: wait"), "{error}");
        assert_eq!(files(folder.path()), 0);
        drop(other);
        write(&path, "new").unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x = 1").unwrap();
        for path in [
            folder.path().to_owned(),
            file.join("turnserver.toml"),
            folder.path().join("a/b/turnserver.toml"),
        ] {
            let error = check_free(&path).unwrap_err().to_string();
            assert!(error.contains("cannot be written: ") && error.contains("\n  remedy: "), "{error}");
        }
        assert_eq!(files(folder.path()), 1);
    }
}
