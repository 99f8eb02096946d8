//! Service: the systemd unit of the server, and the user that it runs as.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist, setgid, setgroups, setuid};
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::SYSTEM_FILE;

/// Longest wait for systemd.
const PATIENCE: Duration = Duration::from_secs(3);

/// Properties of the unit that matter here.
const PROPERTIES: &str =
    "LoadState,ExecStart,User,SupplementaryGroups,LimitNOFILE,ProtectHome,ActiveState,Result";

/// The unit, if it is installed and runs this configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    user: String,
    groups: Vec<String>,
    /// Whether home folders are hidden from the server.
    pub(super) hides_homes: bool,
    /// Limit of file descriptors.
    pub(super) descriptors: Option<u64>,
    /// State and last result, such as `failed (exit-code)`.
    pub(super) state: String,
}

impl Service {
    /// Asks systemd for the unit that runs `file`.
    pub(super) async fn find(file: Option<&Path>) -> Option<Self> {
        if !Path::new("/run/systemd/system").is_dir() {
            return None;
        }
        let mut command = Command::new("systemctl");
        command.args(["show", "byway.service", "--property", PROPERTIES]).stdin(Stdio::null());
        let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await.ok()?.ok()?;
        Self::parse(&String::from_utf8_lossy(&output.stdout), file.unwrap_or(Path::new(SYSTEM_FILE)))
    }

    fn parse(properties: &str, file: &Path) -> Option<Self> {
        let of = |name: &str| {
            let line = properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        let runs_it = of("ExecStart").contains(file.to_str()?);
        (of("LoadState") == "loaded" && runs_it).then(|| Self {
            user: of("User"),
            groups: of("SupplementaryGroups").split_whitespace().map(str::to_owned).collect(),
            hides_homes: of("ProtectHome") != "no",
            descriptors: of("LimitNOFILE").parse().ok(),
            state: format!("byway.service is {} ({})", of("ActiveState"), of("Result")),
        })
    }
}

/// User that the checks run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunsAs {
    pub(super) name: String,
    /// Reason for the choice, or why another user could not be taken.
    pub(super) because: String,
}

/// Becomes the user of the service, if this is root: `named`, else that of the unit, else the owner
/// of the running server's socket or of the configuration.
pub(super) fn become_user(
    named: Option<&str>,
    service: Option<&Service>,
    owned: &[&Path],
) -> Result<RunsAs, String> {
    let own = Uid::effective();
    let name_of = |uid: Uid| User::from_uid(uid).ok().flatten().map_or(uid.to_string(), |user| user.name);
    let of_unit = service.map(|service| service.user.as_str()).filter(|user| !user.is_empty());
    if !own.is_root() {
        let other = named.or(of_unit).filter(|wanted| *wanted != name_of(own));
        let because = match other {
            Some(wanted) => format!("not {wanted}, as the server does: run it with sudo for that"),
            None => "the user of this command".to_owned(),
        };
        return match named.filter(|wanted| *wanted != name_of(own)) {
            Some(_) => Err("only root can take another user: run this with sudo".to_owned()),
            None => Ok(RunsAs { name: name_of(own), because }),
        };
    }
    let owner = || {
        let owners = owned.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.uid());
        owners.map(Uid::from_raw).find(|uid| !uid.is_root())
    };
    let (user, because) = match (named, of_unit) {
        (Some(named), _) => (user(named)?, "as --user says"),
        (None, Some(name)) => (user(name)?, "the user of byway.service"),
        (None, None) => match owner().and_then(|uid| User::from_uid(uid).ok().flatten()) {
            Some(user) => (user, "the owner of the server's files"),
            None => {
                return Ok(RunsAs {
                    name: name_of(own),
                    because: "no other user runs the server".to_owned(),
                });
            }
        },
    };
    take(&user, service.map(|service| &service.groups[..]).unwrap_or_default())
        .map_err(|error| format!("cannot become user {}: {error}", user.name))?;
    Ok(RunsAs { name: user.name, because: because.to_owned() })
}

fn user(name: &str) -> Result<User, String> {
    User::from_name(name)
        .ok()
        .flatten()
        .ok_or_else(|| format!("there is no user {name}: correct --user or the unit"))
}

/// Gives up root for good: groups first, because they need it.
fn take(user: &User, groups: &[String]) -> nix::Result<()> {
    let name = std::ffi::CString::new(user.name.as_str()).map_err(|_| nix::errno::Errno::EINVAL)?;
    let mut all: Vec<Gid> = getgrouplist(&name, user.gid)?;
    all.extend(
        groups.iter().filter_map(|group| Group::from_name(group).ok().flatten()).map(|group| group.gid),
    );
    setgroups(&all)?;
    setgid(user.gid)?;
    setuid(user.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "LoadState=loaded\nExecStart={ path=/usr/bin/byway ; argv[]=/usr/bin/byway serve --config \
                         /etc/byway/turnserver.toml }\nUser=byway\nSupplementaryGroups=ssl-cert other\nProtectHome=yes\nLimitNOFILE=64\n\
                         ActiveState=failed\nResult=exit-code\n";

    #[test]
    fn a_unit_counts_for_the_file_that_it_runs() {
        let service = Service::parse(SHOWN, Path::new(SYSTEM_FILE)).unwrap();
        assert_eq!((service.user.as_str(), service.hides_homes), ("byway", true));
        assert_eq!((service.groups.len(), service.descriptors), (2, Some(64)));
        assert_eq!(service.state, "byway.service is failed (exit-code)");
        assert_eq!(Service::parse(SHOWN, Path::new("/tmp/other.toml")), None);
        assert_eq!(Service::parse(&SHOWN.replace("loaded", "not-found"), Path::new(SYSTEM_FILE)), None);
        assert_eq!(Service::parse("", Path::new(SYSTEM_FILE)), None);
    }
}
