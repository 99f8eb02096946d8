//! Files named by the operator: configuration, secrets, keys, certificates.
//!
//! A path may lead to a pipe without a writer, to `/dev/zero` or to a disk image. Only regular
//! files are read, up to the size limit of their kind.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Maximum bytes of a certificate with its chain, a key, a list of roots, or a file of coturn.
pub const LARGE: u64 = 1 << 20;

/// Maximum bytes of a configuration.
pub const CONFIGURATION: u64 = 256 << 10;

/// Maximum bytes of a secret or a set of public keys.
pub const SMALL: u64 = 64 << 10;

/// Reads the regular file at `path`, which may have at most `longest` bytes. Follows symbolic
/// links.
///
/// # Errors
/// The system's error, or an error if the file is not regular or too large.
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    // Checked before the file is opened, because opening a device may have an effect, and again
    // afterwards, because the path may have changed.
    is_regular(&fs::metadata(path)?)?;
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    is_regular(&file.metadata()?)?;
    let mut content = Vec::new();
    file.take(longest + 1).read_to_end(&mut content)?;
    if content.len() as u64 > longest {
        return Err(io::Error::other(format!("longer than {} KiB", longest >> 10)));
    }
    Ok(content)
}

/// Reads the file as text.
///
/// # Errors
/// The errors of [`read`], or an error if the content is not UTF-8.
pub fn read_text(path: &Path, longest: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "not text in UTF-8");
    String::from_utf8(read(path, longest)?).map_err(not_text)
}

/// Access to a file that holds secrets by more users than its owner and, for reading, its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Others can change it.
    OthersWrite,
    /// Others can read it.
    OthersRead,
    /// Its group can change it.
    GroupWrites,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OthersWrite => "every user of this machine can change it",
            Self::OthersRead => "every user of this machine can read it",
            Self::GroupWrites => "its group can change it",
        })
    }
}

/// Returns the worst exposure of the file at `path`, by its mode. A file that cannot be examined
/// has none: the error of reading it says more.
#[must_use]
pub fn exposure(path: &Path) -> Option<Exposure> {
    let mode = fs::metadata(path).ok()?.mode();
    let exposures =
        [(0o002, Exposure::OthersWrite), (0o004, Exposure::OthersRead), (0o020, Exposure::GroupWrites)];
    exposures.into_iter().find(|(bit, _)| mode & bit != 0).map(|(_, exposure)| exposure)
}

/// Whether an error reports a temporary lack of descriptors, memory or threads. Another
/// configuration does not fix it, but another start may.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    use libc::{EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EAGAIN | EINTR | EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

/// Remedy for a [shortage](is_shortage).
pub const SHORTAGE: &str = "the machine is short of file descriptors or memory: stop the processes that hold them, or raise `LimitNOFILE=`, then start again";

fn is_regular(file: &fs::Metadata) -> io::Result<()> {
    if file.is_file() { Ok(()) } else { Err(io::Error::other("not a regular file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_41_no_more_is_read_than_the_kind_can_need() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x".repeat(1 << 10)).unwrap();
        assert_eq!(read(&path, 1 << 10).unwrap().len(), 1 << 10);
        fs::write(&path, "x".repeat((1 << 10) + 1)).unwrap();
        assert_eq!(read(&path, 1 << 10).unwrap_err().to_string(), "longer than 1 KiB");
        // A sparse file of 1 TiB.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&path, 1 << 10).unwrap_err().to_string(), "longer than 1 KiB");
        for other in ["/dev/zero", "/dev/null", "/"] {
            assert_eq!(
                read(Path::new(other), LARGE).unwrap_err().to_string(),
                "not a regular file",
                "{other}"
            );
        }
    }
}
