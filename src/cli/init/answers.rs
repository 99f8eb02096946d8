//! The three answers that a configuration is made from, by flag or by question.

use std::io::{BufRead, Write};
use std::net::IpAddr;

use crate::access::Policy;
use crate::config::{is_host_name, is_mail_address};
use crate::tls::Name;

use super::error::InitError;

/// Parses the name of the server, or its public address.
pub(super) fn public_name(text: &str) -> Result<Name, String> {
    let text = text.trim();
    let refused = |reason: &str| Err(reason.to_owned());
    if text.contains('/') {
        return refused("give the name alone, such as call.example.org, without https:// and path");
    }
    if text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';')) {
        return refused("give one name; list further ones in `names` under [acme] afterwards");
    }
    if text.contains('*') {
        return refused("a wildcard is not the name of one server: give one name, such as call.example.org");
    }
    let literal = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = literal.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        if !is_usable(ip) {
            return Err(format!("no other machine reaches {ip}: give the public address of this machine"));
        }
        return Ok(Name::Ip(ip));
    }
    if literal.split_once('%').is_some_and(|(ip, _)| ip.parse::<IpAddr>().is_ok()) {
        return refused(
            "an address with a zone is of this network only: give the public address of this machine",
        );
    }
    if text.contains(':') {
        return refused("give the name without a port: the page uses 443, TURN 3478 and 443");
    }
    if !text.is_ascii() {
        return refused("give the name in its ASCII form, which begins with xn--");
    }
    // The dot of the root, which resolvers take and certificates lack.
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    let is_number = |label: &&str| label.bytes().all(|b| b.is_ascii_digit());
    if name.len() > 253 || !is_host_name(&name) || labels.last().is_some_and(is_number) {
        return refused("give a name such as call.example.org, or an address such as 203.0.113.10");
    }
    if labels.last() == Some(&"localhost") {
        return refused(
            "no other machine reaches localhost: give the public name or address of this machine",
        );
    }
    if labels.len() < 2 {
        return refused("give the full name, such as call.example.org");
    }
    Ok(Name::Dns(name))
}

/// Whether another machine could reach the address.
pub(super) fn is_usable(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(is_link_local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// Mail address for the certificate authority, if the operator gives one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mail(pub(super) Option<String>);

/// Parses a mail address. An empty one means none.
pub(super) fn mail(text: &str) -> Result<Mail, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Mail(None));
    }
    let is_address = is_mail_address(text)
        && text.split_once('@').is_some_and(|(_, domain)| domain.contains('.') && is_host_name(domain));
    if is_address {
        Ok(Mail(Some(text.to_owned())))
    } else {
        Err("give one address, such as admin@example.org, or nothing".to_owned())
    }
}

/// Parses the access policy.
pub(super) fn access(text: &str) -> Result<Policy, String> {
    match text.trim() {
        "token" => Ok(Policy::Token),
        "open" => Ok(Policy::Open),
        _ => Err("give \"token\" or \"open\"".to_owned()),
    }
}

/// Answers given as flags.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) name: Option<Name>,
    pub(super) mail: Option<Mail>,
    pub(super) access: Option<Policy>,
}

/// All answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// Name of the server, or its public address.
    pub(super) name: Name,
    pub(super) mail: Option<String>,
    pub(super) access: Policy,
}

impl Given {
    /// Takes the defaults for what is missing. The name has none.
    pub(super) fn with_defaults(self) -> Result<Answers, InitError> {
        let Some(name) = self.name else {
            return Err(InitError::new(
                "--yes asks nothing, and the name of the server is missing",
                "add --domain NAME, or --domain ADDRESS if this machine has no name",
            ));
        };
        Ok(Answers {
            name,
            mail: self.mail.and_then(|mail| mail.0),
            access: self.access.unwrap_or(Policy::Token),
        })
    }

    /// Requires every answer, because there is no terminal to ask at.
    pub(super) fn complete(self) -> Result<Answers, InitError> {
        let missing: Vec<&str> = [
            ("--domain NAME-or-ADDRESS", self.name.is_none()),
            ("--mail MAIL", self.mail.is_none()),
            ("--access token|open", self.access.is_none()),
        ]
        .into_iter()
        .filter_map(|(flag, is_missing)| is_missing.then_some(flag))
        .collect();
        if missing.is_empty() {
            return self.with_defaults();
        }
        let remedy = match self.name {
            Some(_) => "add them, or --yes, which means no mail address and --access token",
            None => "add them, or --domain and --yes, which means no mail address and --access token",
        };
        Err(InitError::new(format!("no terminal to ask at; missing: {}", missing.join(", ")), remedy))
    }

    /// Asks for what is missing. `suggestion` is the machine's own public address.
    pub(super) fn ask(
        self,
        suggestion: Option<IpAddr>,
        input: &mut impl BufRead,
        output: &mut impl Write,
    ) -> Result<Answers, InitError> {
        let mut dialogue = Dialogue { input, output };
        let name = match self.name {
            Some(name) => name,
            None => {
                let default = suggestion.map(|ip| ip.to_string());
                let question = "Name of this server, such as call.example.org, or its public address";
                dialogue.ask(question, default.as_deref(), "--domain", public_name)?
            }
        };
        let mail = match self.mail {
            Some(mail) => mail,
            None => {
                let question = "Mail address for the certificate authority, or nothing";
                dialogue.ask(question, Some(""), "--mail", mail)?
            }
        };
        let access = match self.access {
            Some(access) => access,
            None => {
                let question = "Callers, \"token\" = only guests with an invitation, \"open\" = everyone";
                dialogue.ask(question, Some("token"), "--access", access)?
            }
        };
        Ok(Answers { name, mail: mail.0, access })
    }
}

/// Asks whether to go on in spite of warnings.
pub(super) fn confirm(input: &mut impl BufRead, output: &mut impl Write) -> Result<bool, InitError> {
    let yes_or_no = |text: &str| match text.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("answer y or n".to_owned()),
    };
    Dialogue { input, output }.ask("Write the configuration anyway? y or n", Some("n"), "--yes", yes_or_no)
}

/// Questions on a terminal.
struct Dialogue<'a, I, O> {
    input: &'a mut I,
    output: &'a mut O,
}

impl<I: BufRead, O: Write> Dialogue<'_, I, O> {
    /// Asks until the answer is valid. An empty answer means the default.
    fn ask<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        flag: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, InitError> {
        let shown = default.filter(|default| !default.is_empty());
        let shown = shown.map(|default| format!(" [{default}]")).unwrap_or_default();
        loop {
            // An answer that cannot be seen is still read: it is the reader's end that counts.
            let _ = write!(self.output, "{question}{shown}: ").and_then(|()| self.output.flush());
            let mut line = String::new();
            let read = self.input.read_line(&mut line);
            if !matches!(read, Ok(1..)) {
                let _ = writeln!(self.output);
                let reason = read.err().map_or("the input ended".to_owned(), |error| error.to_string());
                return Err(InitError::new(
                    format!("{reason}; nothing was written"),
                    format!("answer the question, or give {flag}"),
                ));
            }
            let answer = match (line.trim(), default) {
                ("", Some(default)) => default,
                (answer, _) => answer,
            };
            match parse(answer) {
                Ok(answer) => return Ok(answer),
                Err(reason) => {
                    let _ = writeln!(self.output, "  {reason}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_normalized() {
        for (text, name) in [
            ("call.example.org", Name::Dns("call.example.org".to_owned())),
            (" Call.Example.ORG. ", Name::Dns("call.example.org".to_owned())),
            ("xn--bcher-kva.example", Name::Dns("xn--bcher-kva.example".to_owned())),
            ("203.0.113.10", Name::Ip("203.0.113.10".parse().unwrap())),
            ("10.0.0.5", Name::Ip("10.0.0.5".parse().unwrap())),
            ("2001:DB8::1", Name::Ip("2001:db8::1".parse().unwrap())),
            ("[2001:db8::1]", Name::Ip("2001:db8::1".parse().unwrap())),
            ("::ffff:203.0.113.10", Name::Ip("203.0.113.10".parse().unwrap())),
        ] {
            assert_eq!(public_name(text), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_remedy() {
        for (text, part) in [
            ("", "give a name such as"),
            ("https://call.example.org", "without https://"),
            ("call.example.org/tea", "without https://"),
            ("a.example.org b.example.org", "give one name"),
            ("a.example.org,b.example.org", "give one name"),
            ("*.example.org", "a wildcard"),
            ("call.example.org:443", "without a port"),
            ("203.0.113.10:443", "without a port"),
            ("b\u{fc}cher.example", "xn--"),
            ("-a.example", "give a name such as"),
            ("a..example", "give a name such as"),
            ("a.example..", "give a name such as"),
            ("fe80::1%eth0", "an address with a zone"),
            ("[2001:db8::1%eth0]", "an address with a zone"),
            ("a_b.example", "give a name such as"),
            ("a\".example", "give a name such as"),
            ("203.0.113", "give a name such as"),
            ("203.0.113.256", "give a name such as"),
            ("call", "give the full name"),
            ("localhost", "localhost"),
            ("a.localhost", "localhost"),
            ("127.0.0.1", "no other machine reaches 127.0.0.1"),
            ("::1", "no other machine"),
            ("0.0.0.0", "no other machine"),
            ("fe80::1", "no other machine"),
            ("::ffff:127.0.0.1", "no other machine"),
            ("224.0.0.1", "no other machine"),
        ] {
            let refused = public_name(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        assert!(public_name(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(public_name(&"a.".repeat(128)).is_err());
    }

    #[test]
    fn a_mail_address_is_one_address_or_none() {
        assert_eq!(mail(" "), Ok(Mail(None)));
        let address = Mail(Some("a.b+c@example.org".to_owned()));
        assert_eq!(mail("a.b+c@example.org"), Ok(address));
        for text in [
            "a",
            "a@",
            "@example.org",
            "a@b",
            "a@b@example.org",
            "mailto:a@example.org",
            "a@x.org\"",
            "a%b@x.org",
            "a#b@x.org",
            "a[b@x.org",
            "a\\b@x.org",
            "a@x.org\nb",
            "a b@x.org",
        ] {
            assert!(mail(text).is_err(), "{text}");
        }
    }

    fn asked(given: Given, suggestion: Option<&str>, input: &str) -> (Result<Answers, String>, String) {
        let mut output = Vec::new();
        let suggestion = suggestion.map(|ip| ip.parse().unwrap());
        let answers = given.ask(suggestion, &mut input.as_bytes(), &mut output);
        (answers.map_err(|error| error.to_string()), String::from_utf8(output).unwrap())
    }

    #[test]
    fn three_questions_are_asked_at_most() {
        let (answers, said) = asked(Given::default(), None, "call.example.org\na@example.org\nopen\n");
        let expected = Answers {
            name: Name::Dns("call.example.org".to_owned()),
            mail: Some("a@example.org".to_owned()),
            access: Policy::Open,
        };
        assert_eq!(answers, Ok(expected));
        assert_eq!(said.matches(": ").count(), 3, "{said}");

        let given = Given {
            name: Some(Name::Dns("a.example".to_owned())),
            mail: Some(Mail(None)),
            access: Some(Policy::Open),
        };
        let (answers, said) = asked(given, None, "");
        assert_eq!((answers.unwrap().access, said.as_str()), (Policy::Open, ""));
    }

    #[test]
    fn empty_answers_are_the_defaults() {
        let (answers, said) = asked(Given::default(), Some("203.0.113.10"), "\n\n\n");
        let expected =
            Answers { name: Name::Ip("203.0.113.10".parse().unwrap()), mail: None, access: Policy::Token };
        assert_eq!(answers, Ok(expected));
        assert!(said.contains("[203.0.113.10]: ") && said.contains("[token]: "), "{said}");
    }

    #[test]
    fn a_wrong_answer_is_asked_for_again_and_an_end_is_an_error() {
        let (answers, said) = asked(Given::default(), None, "*.example.org\n\ncall.example.org\nx\n");
        let error = answers.unwrap_err();
        assert!(
            error.starts_with("the input ended; nothing was written\n  remedy: ")
                && error.ends_with("give --mail")
        );
        assert!(said.contains("  a wildcard is not") && said.contains("  give a name such as"), "{said}");
        assert_eq!(said.matches("Name of this server").count(), 3, "{said}");
    }

    #[test]
    fn without_a_terminal_the_missing_flags_are_named() {
        let missing = |given: Given| given.complete().unwrap_err().to_string();
        let all = missing(Given::default());
        assert!(
            all.contains("missing: --domain NAME-or-ADDRESS, --mail MAIL, --access token|open\n"),
            "{all}"
        );
        let name = Some(Name::Dns("a.example".to_owned()));
        let given = Given { name, mail: Some(Mail(None)), access: None };
        assert!(missing(given.clone()).contains("missing: --access token|open\n"));
        assert!(Given { access: Some(Policy::Token), ..given.clone() }.complete().is_ok());
        assert_eq!(given.with_defaults().unwrap().access, Policy::Token);
        assert!(Given::default().with_defaults().unwrap_err().to_string().contains("add --domain NAME"));
    }

    #[test]
    fn going_on_takes_a_yes() {
        let confirmed = |text: &str| confirm(&mut text.as_bytes(), &mut Vec::new()).ok();
        assert_eq!(confirmed("y\n"), Some(true));
        assert_eq!(confirmed("maybe\nYES\n"), Some(true));
        assert_eq!(confirmed("\n"), Some(false));
        assert_eq!(confirmed(""), None);
    }
}
