//! Static users.

use byway_turn::auth::StaticUser;

use crate::diagnosis::Finding;

/// Characters of a password that is not easily guessed. Some devices take no longer one, so a
/// shorter one is allowed.
const SHORT_PASSWORD: usize = 12;

pub(super) fn judge(user: &StaticUser) -> Option<Finding> {
    let name = user.name();
    if user.excludes_md5() {
        return Some(Finding::warning(
            None,
            format!(
                "user {name} has a SHA-256 key only, with which browsers and coturn's clients cannot authenticate"
            ),
            "",
            "use the MD5 key or the password",
        ));
    }
    let length = user.password_length().filter(|length| *length < SHORT_PASSWORD)?;
    Some(Finding::warning(
        None,
        format!("the password of user {name} has {length} characters"),
        "it can be guessed from one captured message",
        "use a random one: openssl rand -base64 24",
    ))
}
