//! Files of the ACME client. Each is written whole or not at all.
//!
//! A new content goes into a temporary file, reaches the disk, and then takes the name of the old
//! one. Whatever fails before that leaves the old file as it is. The space is reserved before the
//! authority is asked, so a full disk costs no certificate.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::operator_file;

/// Bytes that are reserved for a file. A chain with its key takes 4 to 8 KiB.
const RESERVED: usize = 32 << 10;

/// The folder of one authority.
#[derive(Clone, Debug)]
pub(super) struct StateFiles {
    folder: PathBuf,
}

impl StateFiles {
    /// Opens the folder for this user alone, and creates it if it is missing.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        if fs::metadata(&folder)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        }
        Ok(Self { folder })
    }

    /// Path of a file.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads a file, if it exists.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match operator_file::read(&self.path(name), operator_file::SMALL) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renames a file that cannot be used, so that another takes its place and nothing is lost.
    pub(super) fn set_aside(&self, name: &str) -> io::Result<()> {
        fs::rename(self.path(name), self.path(&format!("{name}.unusable")))
    }

    /// Reserves space for the new content of a file.
    pub(super) fn reserve(&self, name: &str) -> io::Result<Reserved> {
        let temporary = self.path(&format!(".{name}.new"));
        // The rename would fail, after the authority has worked.
        if fs::symlink_metadata(self.path(name)).is_ok_and(|found| found.is_dir()) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // A process that was killed may have left it.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let mut reserved = Reserved {
            file,
            temporary,
            target: self.path(name),
            folder: self.folder.clone(),
            is_done: false,
        };
        reserved.file.write_all(&[0; RESERVED])?;
        reserved.file.sync_all()?;
        Ok(reserved)
    }
}

/// A temporary file with space for the new content. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Reserved {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    folder: PathBuf,
    is_done: bool,
}

impl Reserved {
    /// Writes the content to disk, still under the temporary name, which is returned.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<&Path> {
        self.file.rewind()?;
        self.file.write_all(content)?;
        self.file.set_len(content.len() as u64)?;
        self.file.sync_all()?;
        Ok(&self.temporary)
    }

    /// Puts the written content in the place of the old.
    pub(super) fn commit(mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.target)?;
        self.is_done = true;
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_done {
            // It may be gone with its folder.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn write(files: &StateFiles, name: &str, content: &[u8]) {
        let mut reserved = files.reserve(name).unwrap();
        reserved.write(content).unwrap();
        reserved.commit().unwrap();
    }

    #[test]
    fn a_file_is_for_its_owner_and_has_its_content_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state/acme/authority");
        let files_here = StateFiles::open(folder.clone()).unwrap();
        assert_eq!(files_here.read("account.json").unwrap(), None);
        write(&files_here, "account.json", b"old, and longer");
        write(&files_here, "account.json", b"new");
        assert_eq!(files_here.read("account.json").unwrap().unwrap(), b"new");
        assert_eq!(files(&folder), ["account.json"]);
        assert_eq!((mode(&folder), mode(&folder.join("account.json"))), (0o700, 0o600));
        assert_eq!(mode(&root.path().join("state")), 0o700);
    }

    #[test]
    fn a_folder_that_others_may_read_is_closed_to_them() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        StateFiles::open(root.path().to_owned()).unwrap();
        assert_eq!(mode(root.path()), 0o700);
    }

    /// A process that ends between any two steps leaves the old file.
    #[test]
    fn until_it_is_committed_the_old_file_stays() {
        let root = tempfile::tempdir().unwrap();
        let files_here = StateFiles::open(root.path().to_owned()).unwrap();
        write(&files_here, "certificate.pem", b"old");
        let mut reserved = files_here.reserve("certificate.pem").unwrap();
        assert_eq!(files_here.read("certificate.pem").unwrap().unwrap(), b"old");
        let temporary = reserved.write(b"new").unwrap().to_owned();
        assert_eq!((mode(&temporary), fs::read(&temporary).unwrap()), (0o600, b"new".to_vec()));
        assert_eq!(files_here.read("certificate.pem").unwrap().unwrap(), b"old");
        drop(reserved);
        assert_eq!(files(root.path()), ["certificate.pem"]);
        // As after a crash.
        fs::write(root.path().join(".certificate.pem.new"), b"half").unwrap();
        write(&files_here, "certificate.pem", b"new");
        assert_eq!(files_here.read("certificate.pem").unwrap().unwrap(), b"new");
        assert_eq!(files(root.path()), ["certificate.pem"]);
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_found_before_the_order() {
        let root = tempfile::tempdir().unwrap();
        let files_here = StateFiles::open(root.path().to_owned()).unwrap();
        fs::create_dir(root.path().join("certificate.pem")).unwrap();
        assert_eq!(files_here.reserve("certificate.pem").unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(files(root.path()), ["certificate.pem"]);
    }

    #[test]
    fn what_cannot_be_used_is_kept_aside() {
        let root = tempfile::tempdir().unwrap();
        let files_here = StateFiles::open(root.path().to_owned()).unwrap();
        write(&files_here, "account.json", b"?");
        files_here.set_aside("account.json").unwrap();
        assert_eq!(files(root.path()), ["account.json.unusable"]);
    }
}
