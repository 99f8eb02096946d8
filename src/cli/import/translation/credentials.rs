//! Secrets and static users.

use super::super::draft::Item;
use super::super::options::Fate;
use super::{Translator, origin};

impl Translator<'_, '_> {
    /// Whether credentials are signed with secrets. coturn then ignores its users.
    fn has_secrets(&self) -> bool {
        self.source.has("use-auth-secret") || self.source.has("static-auth-secret")
    }

    fn is_stun_only(&self) -> bool {
        self.source.is_on("stun-only")
    }

    /// Whether the new configuration has static users.
    pub(super) fn has_users(&self) -> bool {
        self.source.has("user") && !self.has_secrets() && !self.is_stun_only()
    }

    pub(super) fn credentials(&mut self) {
        let source = self.source;
        if let Some(entry) = source.last("no-auth").filter(|_| source.is_on("no-auth")) {
            source.refuse(&entry);
            return;
        }
        if let Some(entry) = source.last("no-auth") {
            self.outcome(
                entry.option.name,
                Fate::Replaced,
                "It is off, and Byway always requires credentials.",
            );
        }
        let separator = source.last("rest-api-separator");
        if separator.is_some_and(|entry| entry.value.is_empty() || entry.value.starts_with(':')) {
            self.outcome("rest-api-separator", Fate::Replaced, "It is a colon, as in Byway.");
        }
        if self.is_stun_only() {
            for option in ["use-auth-secret", "static-auth-secret", "user"] {
                self.outcome(
                    option,
                    Fate::Refused,
                    "coturn relays nothing with `stun-only`, so nobody needs it.",
                );
            }
            return;
        }
        if self.has_secrets() {
            let items: Vec<_> = source
                .all("static-auth-secret")
                .iter()
                .map(|entry| Item::secret(entry.value, origin(entry)))
                .collect();
            if items.is_empty() {
                self.notes.push(
                    "coturn keeps its secrets in a database. Copy them into `credentials.secrets`: `turnadmin -S` lists them."
                        .to_owned(),
                );
            } else {
                self.draft.list("credentials", "secrets", items, &[]);
            }
            let text =
                "coturn ignores it because there is a secret. To have both, write `[[users]]` yourself.";
            self.outcome("user", Fate::Refused, text);
        } else if !source.has("user") {
            if !source.is_on("lt-cred-mech") {
                source.lacks(
                    "coturn lets everyone relay with this file: it has no user and no secret",
                    "add `use-auth-secret` with `static-auth-secret`, or `lt-cred-mech` with `user`",
                );
            }
            self.notes.push(
                "coturn keeps its users in a database. Write each as one of the `[[users]]`: `turnadmin -l` lists them."
                    .to_owned(),
            );
        }
    }

    /// The static users. In coturn a later line of the same name replaces the earlier one; here it
    /// is a fault.
    pub(super) fn users(&mut self) {
        if !self.has_users() {
            return;
        }
        let source = self.source;
        for entry in source.all("user") {
            let Some((name, password)) = entry.value.split_once(':').filter(|(name, _)| !name.is_empty())
            else {
                source.wrong(entry, "this is not a name with a password", "write it as user=NAME:PASSWORD");
                continue;
            };
            let password = password.trim_start_matches([' ', '\t']);
            if password.starts_with("0x") && !source.has("realm") {
                source.wrong(
                    entry,
                    "a key holds for one realm, and the file has none",
                    "add `realm` with the realm of the key",
                );
            }
            self.draft.user(name, password, origin(entry));
        }
        self.notes.push(
            "Passwords of users never expire. Give browsers time-limited credentials: `credentials.secrets`."
                .to_owned(),
        );
    }
}
