//! Unix sockets of the admin listener. They serve the admin pages and the requests of the operator,
//! which no TCP listener takes.
//!
//! The kernel names the user behind each connection. Root and the server's own user are served, and
//! all others are refused, whatever the mode of the file.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use byway_turn::lock::lock;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::ServerError;
use crate::http::limits::Protocol;
use crate::http::serve::Pages;
use crate::net::accept::Stopping;
use crate::net::connection_limit::ConnectionLimiter;
use crate::operator_file::{SHORTAGE, is_shortage};
use crate::phase::PhaseWatch;

/// Mode of the file. Its group may be given to other programs of this machine, which the check of
/// the user then refuses with an answer.
const MODE: u32 = 0o660;

/// Answer to a user who may not use the socket.
const FORBIDDEN: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Socket that is bound and not served yet. Dropping it removes its file.
pub(super) struct BoundSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// File of a socket, which is removed on drop unless another socket has its place.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            // A leftover file is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl BoundSocket {
    /// Binds a socket, and replaces the file of a server that has ended. Makes its folder if the
    /// one above exists.
    ///
    /// # Errors
    /// [`ServerError::AdminSocket`]: the folder is missing, a server listens there, or the file is
    /// no socket.
    pub(super) fn bind(path: &Path) -> Result<Self, ServerError> {
        check_vacant(path)?;
        // Bound under another name, so that the file has its mode before anybody can find it.
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(".new");
        let hidden = PathBuf::from(hidden);
        let failed = |error| refused(path, error);
        // Left by a server that was killed at this moment.
        let _ = fs::remove_file(&hidden);
        let bound = UnixListener::bind(&hidden).or_else(|error| match path.parent() {
            // /run is empty after a boot. Without systemd nobody else makes the folder.
            Some(folder) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(0o755).create(folder).map_err(|_| error)?;
                UnixListener::bind(&hidden)
            }
            _ => Err(error),
        });
        let listener = bound.map_err(failed)?;
        let placed = fs::set_permissions(&hidden, Permissions::from_mode(MODE))
            .and_then(|()| fs::symlink_metadata(&hidden))
            .and_then(|found| fs::rename(&hidden, path).map(|()| identity(&found)));
        match placed {
            Ok(identity) => Ok(Self { listener, file: SocketFile { path: path.to_owned(), identity } }),
            Err(error) => {
                let _ = fs::remove_file(&hidden);
                Err(failed(error))
            }
        }
    }
}

/// Checks that the path is free, or has the socket of a server that has ended.
fn check_vacant(path: &Path) -> Result<(), ServerError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(path, error)),
        Ok(found) if !found.file_type().is_socket() => Err(ServerError::AdminSocket {
            path: path.to_owned(),
            error: io::ErrorKind::AlreadyExists.into(),
            remedy: "the file there is no socket: move it away, or configure another path",
        }),
        Ok(_) => match try_connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            // Its queue is full, so it does not answer, and yet it is there.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(refused(path, io::ErrorKind::AddrInUse.into()))
            }
            Err(error) => Err(refused(path, error)),
            Ok(()) => Err(refused(path, io::ErrorKind::AddrInUse.into())),
        },
    }
}

/// Connects without waiting for a server that hangs.
fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)
}

fn refused(path: &Path, error: io::Error) -> ServerError {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "a server listens there: stop it, or configure another path",
        io::ErrorKind::NotFound => {
            "create the folder; under systemd, `RuntimeDirectory=byway` makes /run/byway"
        }
        io::ErrorKind::PermissionDenied => "let this user write to the folder, or configure another path",
        _ if is_shortage(&error) => SHORTAGE,
        _ => "configure another path",
    };
    ServerError::AdminSocket { path: path.to_owned(), error, remedy }
}

/// All admin sockets.
pub(super) struct AdminSockets {
    /// A `std` mutex: held for a look-up, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    service: Option<Service>,
    /// Bound before the service begins.
    waiting: Vec<BoundSocket>,
    open: BTreeMap<PathBuf, (JoinHandle<()>, SocketFile)>,
}

/// Service behind the sockets.
#[derive(Clone)]
struct Service {
    pages: Pages,
    limiter: Arc<ConnectionLimiter>,
    stopping: Stopping,
    /// User of this process.
    own: u32,
}

impl AdminSockets {
    /// Binds the sockets with these paths.
    ///
    /// # Errors
    /// [`ServerError::AdminSocket`]
    pub(super) fn bind(paths: &[PathBuf]) -> Result<Self, ServerError> {
        let waiting = paths.iter().map(|path| BoundSocket::bind(path)).collect::<Result<_, _>>()?;
        Ok(Self { state: Mutex::new(State { waiting, ..State::default() }) })
    }

    /// Begins to serve.
    pub(super) fn serve(&self, pages: Pages, limiter: Arc<ConnectionLimiter>, phase: PhaseWatch) {
        // Without it, only root is served.
        let own = UnixStream::pair().and_then(|(end, _)| end.peer_cred()).map_or(0, |peer| peer.uid());
        let stopping = Stopping::new(phase, &watch::Sender::new(()));
        let mut state = self.lock();
        state.service = Some(Service { pages, limiter, stopping, own });
        let waiting = std::mem::take(&mut state.waiting);
        waiting.into_iter().for_each(|socket| state.open(socket));
    }

    /// Binds the sockets that a configuration adds.
    ///
    /// # Errors
    /// [`ServerError::AdminSocket`]
    pub(super) fn prepare(&self, paths: &[PathBuf]) -> Result<Vec<BoundSocket>, ServerError> {
        let state = self.lock();
        let added = paths.iter().filter(|path| !state.open.contains_key(*path));
        added.map(|path| BoundSocket::bind(path)).collect()
    }

    /// Serves the added sockets, and closes those that are none of these paths.
    pub(super) fn change(&self, paths: &[PathBuf], added: Vec<BoundSocket>) {
        let mut state = self.lock();
        let closed = state.open.extract_if(.., |path, _| !paths.contains(path));
        closed.for_each(|(_, (accepting, _))| accepting.abort());
        added.into_iter().for_each(|socket| state.open(socket));
    }

    /// Closes all, and removes their files.
    pub(super) fn close(&self) {
        self.change(&[], Vec::new());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // It is whole between any two statements.
        lock(&self.state)
    }
}

impl State {
    fn open(&mut self, BoundSocket { listener, file }: BoundSocket) {
        if let Some(service) = self.service.clone() {
            let accepting = tokio::spawn(service.accept(listener));
            self.open.insert(file.path.clone(), (accepting, file));
        }
    }
}

impl Service {
    async fn accept(mut self, listener: UnixListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stopping.requested() => return,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream),
                // The process is probably out of file descriptors.
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn admit(&self, stream: UnixStream) {
        if !stream.peer_cred().is_ok_and(|peer| [0, self.own].contains(&peer.uid())) {
            // tokio takes an accepted stream for writable, and this fits into its empty buffer.
            let _ = stream.try_write(FORBIDDEN);
            return;
        }
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let Some(permit) = self.limiter.admit(client.ip()) else { return };
        let Self { pages, stopping, .. } = self.clone();
        tokio::spawn(async move {
            pages.connection(stream, client, Protocol::Http, permit, stopping).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server that is stopped in a debugger: a wait for it would hold up the start, and at a
    /// reload a thread of HTTP.
    #[test]
    fn threat_19_a_server_that_hangs_keeps_its_socket_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let hanging = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        hanging.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        hanging.listen(0).unwrap();
        let mut waiting = Vec::new();
        while let Ok(client) = {
            let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
            client.connect(&SockAddr::unix(&path).unwrap()).map(|()| client)
        } {
            waiting.push(client);
        }
        let Err(ServerError::AdminSocket { remedy, .. }) = check_vacant(&path) else {
            panic!("it is vacant")
        };
        assert!(remedy.starts_with("a server listens there"), "{remedy}");
        drop((hanging, waiting));
        check_vacant(&path).unwrap();
    }
}
