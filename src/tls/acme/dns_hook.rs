//! The operator's program for DNS-01, which sets and removes TXT records.
//!
//! It is executed without a shell: `PROGRAM present _acme-challenge.NAME VALUE`, and later
//! `PROGRAM cleanup` with the same arguments. `present` ends once the record can be resolved.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;

use super::failure::{AcmeOutcome, Failure, printable};

/// Longest time of one execution. Name servers may take minutes to copy a record.
const WITHIN: Duration = Duration::from_secs(600);

/// Bytes that are kept of its standard error. The last line is quoted.
const TAIL: usize = 4 << 10;

/// Time to read what it wrote before its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Executes the program with an action, the name of a record and its value.
pub(super) async fn execute(program: &Path, action: &str, name: &str, value: &str) -> Result<(), Failure> {
    let failed = |reason: String| {
        let reason = format!("`{} {action} {name}` {reason}", program.display());
        Failure::new(
            AcmeOutcome::Hook,
            reason,
            "try the program as the server's user: `dns_hook` under [acme] names it",
        )
    };
    let mut command = Command::new(program);
    command.args([action, name, value]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let (status, said) = match timeout(WITHIN, run(command)).await {
        Err(_) => return Err(failed(format!("did not end within {} s", WITHIN.as_secs()))),
        Ok(Err(error)) => return Err(failed(format!("cannot be started: {error}"))),
        Ok(Ok(ended)) => ended,
    };
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let last =
        said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing on its standard error");
    Err(failed(format!("ended with {status}: {}", printable(last))))
}

/// Runs a command until it ends. Returns the last bytes that it wrote to standard error, which a
/// process that it has left behind may keep open.
async fn run(mut command: Command) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = command.spawn()?;
    let mut stderr = child.stderr.take().expect("it is piped");
    let mut said = Vec::new();
    let status = tokio::select! {
        status = child.wait() => status,
        () = read_tail(&mut stderr, &mut said) => child.wait().await,
    }?;
    // What it wrote before its end. The bytes so far suffice.
    let _ = timeout(LAST_WORDS, read_tail(&mut stderr, &mut said)).await;
    Ok((status, said))
}

/// Reads to the end, and keeps the last bytes.
async fn read_tail(from: &mut ChildStderr, tail: &mut Vec<u8>) {
    let mut piece = [0; TAIL];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        tail.extend_from_slice(&piece[..length]);
        tail.drain(..tail.len().saturating_sub(TAIL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_fails_is_quoted_by_its_last_line() {
        execute("true".as_ref(), "present", "_acme-challenge.a.example", "value").await.unwrap();
        let failure =
            execute("ls".as_ref(), "present", "_acme-challenge.a.example", "value").await.unwrap_err();
        assert!(failure.reason.starts_with("`ls present _acme-challenge.a.example` ended with exit status"));
        assert!(failure.reason.contains("value"), "{}", failure.reason);
        let failure = execute("/nowhere/hook".as_ref(), "present", "a", "b").await.unwrap_err();
        assert!(failure.reason.contains("cannot be started"), "{}", failure.reason);
    }

    fn hook(folder: &Path, script: &str) -> std::path::PathBuf {
        let program = folder.join("hook");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        program
    }

    /// `rndc`, `nohup` and their like leave a process behind, which has the pipe.
    #[tokio::test]
    async fn a_program_that_leaves_a_process_behind_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let program = hook(folder.path(), "sleep 700 & echo $! > \"$0.pid\"");
        let ended = execute(&program, "present", "_acme-challenge.a.example", "value").await;
        let left = std::fs::read_to_string(folder.path().join("hook.pid")).unwrap();
        std::process::Command::new("kill").arg(left.trim()).status().unwrap();
        ended.unwrap();
    }

    #[tokio::test]
    async fn threat_41_of_a_flood_the_last_line_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let program =
            hook(folder.path(), "head -c 50000000 /dev/zero >&2; echo >&2; echo the cause >&2; exit 3");
        let command = || {
            let mut command = Command::new(&program);
            command.stderr(Stdio::piped());
            command
        };
        let (_, said) = run(command()).await.unwrap();
        assert!(said.len() <= TAIL && said.ends_with(b"the cause\n"));
        let failure = execute(&program, "present", "a", "b").await.unwrap_err();
        assert!(failure.reason.ends_with("the cause"), "{}", failure.reason);
    }
}
