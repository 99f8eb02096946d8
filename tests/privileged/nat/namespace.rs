//! A machine of its own as far as the network goes.

use std::fs::File;
use std::process::Command;

use nix::sched::{CloneFlags, setns};

/// A network namespace with its loopback up; gone when dropped.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn new(name: &str) -> Self {
        let namespace = Self { name: format!("byway-{}-{name}", std::process::id()) };
        run(Command::new("ip").args(["netns", "add", &namespace.name]));
        namespace.ip("link set lo up");
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `ip` with these arguments, in it.
    pub(crate) fn ip(&self, arguments: &str) {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')));
    }

    /// Does `work` on a thread that lives in it, sockets and processes that it starts included.
    pub(crate) fn within(&self, work: impl FnOnce() + Send) {
        let entrance = File::open(format!("/run/netns/{}", self.name)).expect("`ip` keeps them there");
        let enter_and_work = || {
            setns(entrance, CloneFlags::CLONE_NEWNET).expect("root may enter it");
            work();
        };
        let ended = std::thread::scope(|scope| scope.spawn(enter_and_work).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    /// A command to be run in it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("iproute2 is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {said} (this takes root; `tests/run nat` installs the rest)"
    );
}
