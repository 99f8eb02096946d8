//! Credentials of a node for the broker, as their file has them. Pure.

use byway_turn::auth::Secret;

/// Length of the seed of a user's nkey.
const SEED: usize = 58;

/// Credentials for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusCredentials {
    /// Text of a `.creds` file: a token of the broker, and the seed of the key that it is for.
    File(Secret),
    /// Seed of a user's nkey.
    Nkey(Secret),
    /// Name and password of a user.
    User(String, Secret),
}

impl BusCredentials {
    /// Parses the content of a file.
    ///
    /// # Errors
    /// The reason, which shows nothing of the content.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains("-----BEGIN") {
            let has = |part: &str| text.contains(&format!("-----BEGIN {part}-----"));
            return match has("NATS USER JWT") && has("USER NKEY SEED") {
                true => Ok(Self::File(Secret::new(text))),
                false => Err("this is no .creds file: it needs a user's JWT and a user's nkey seed"),
            };
        }
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() || line.contains(char::is_control) || line != line.trim() {
            return Err("it has not exactly one line without spaces at its ends");
        }
        if let Some((user, password)) = line.split_once(':') {
            return match user.is_empty() || password.is_empty() {
                true => Err("the user or the password is empty"),
                false => Ok(Self::User(user.to_owned(), Secret::new(password))),
            };
        }
        let is_base32 = line.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte));
        match line.starts_with("SU") && line.len() == SEED && is_base32 {
            true => Ok(Self::Nkey(Secret::new(line))),
            false => Err("this is neither the seed of a user's nkey nor user:password"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM";

    #[test]
    fn three_forms_are_known() {
        let creds = format!(
            "-----BEGIN NATS USER JWT-----\neyJ\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
        );
        assert_eq!(BusCredentials::parse(&creds), Ok(BusCredentials::File(Secret::new(creds.as_str()))));
        for line in [SEED.to_owned(), format!("{SEED}\n"), format!("{SEED}\r\n")] {
            assert_eq!(BusCredentials::parse(&line), Ok(BusCredentials::Nkey(Secret::new(SEED))));
        }
        let user = BusCredentials::User("byway".to_owned(), Secret::new("pass:word"));
        assert_eq!(BusCredentials::parse("byway:pass:word\n"), Ok(user));
    }

    #[test]
    fn threat_40_other_content_is_refused_and_not_shown() {
        let operator = SEED.replacen("SU", "SO", 1);
        for text in
            ["", "\n", "geheim", ":geheim", "geheim:", " a:geheim", "a:geheim\nb:c", &SEED[1..], &operator]
        {
            assert!(BusCredentials::parse(text).is_err(), "{text}");
        }
        let half = "-----BEGIN USER NKEY SEED-----\ngeheim\n------END USER NKEY SEED------";
        assert!(BusCredentials::parse(half).is_err());
        for text in ["byway:geheim", SEED] {
            let shown = format!("{:?}", BusCredentials::parse(text).unwrap());
            assert!(!shown.contains("geheim") && !shown.contains(SEED), "{shown}");
        }
    }
}
