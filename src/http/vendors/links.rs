//! `Link: <turn:...>; rel="ice-server"`: ICE servers in a header, as WHIP and WHEP have them (RFC
//! 9725 section 4.6).

use axum::http::{HeaderMap, HeaderValue, header};

use crate::ice::Offer;

/// A `Link` (RFC 8288) for each URL of an offer.
pub(in crate::http) fn of(offer: &Offer) -> HeaderMap {
    let (username, password) = (quoted(&offer.credential.username), quoted(&offer.credential.password));
    let stun = offer.stun.iter().map(|url| format!("<{url}>; rel=\"ice-server\""));
    let turn = offer.turn.iter().map(|url| {
        format!(
            "<{url}>; rel=\"ice-server\"; username={username}; credential={password}; credential-type=\"password\""
        )
    });
    let mut headers = HeaderMap::new();
    // None is left out: neither a URL of the configuration nor a name may have a control character.
    for link in
        stun.chain(turn).filter_map(|link| HeaderValue::from_maybe_shared(axum::body::Bytes::from(link)).ok())
    {
        headers.append(header::LINK, link);
    }
    headers
}

/// A quoted-string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ice::TransportPolicy;
    use byway_turn::auth::Credential;

    #[test]
    fn whatever_a_name_has_it_stays_within_its_quotes() {
        let credential = Credential {
            username: "1700000600:a\"; b\\, \u{e9}".to_owned(),
            password: "p+/=".to_owned(),
            expires_at: 0,
        };
        let offer = Offer {
            stun: vec!["stun:a:1".to_owned()],
            turn: vec!["turn:a:1?transport=udp".to_owned(), "turns:a:2?transport=tcp".to_owned()],
            credential,
            ttl: 600,
            policy: TransportPolicy::All,
        };
        let links: Vec<_> = of(&offer).into_iter().map(|(_, link)| link.as_bytes().to_owned()).collect();
        let rest =
            "username=\"1700000600:a\\\"; b\\\\, \u{e9}\"; credential=\"p+/=\"; credential-type=\"password\"";
        assert_eq!(
            links,
            [
                "<stun:a:1>; rel=\"ice-server\"".to_owned(),
                format!("<turn:a:1?transport=udp>; rel=\"ice-server\"; {rest}"),
                format!("<turns:a:2?transport=tcp>; rel=\"ice-server\"; {rest}"),
            ]
            .map(String::into_bytes)
        );
    }
}
