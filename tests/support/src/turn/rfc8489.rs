//! Hand-written authentication attributes of RFC 8489. A test can leave out or corrupt each of
//! them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use stun::attributes::{
    ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_PASSWORD_ALGORITHM,
    ATTR_PASSWORD_ALGORITHMS, ATTR_REALM, ATTR_SOFTWARE, ATTR_USER_HASH, ATTR_USERNAME,
};

use super::{Client, REALM, Request, Response, Server};

/// PASSWORD-ALGORITHMS of this server, encoded as in figure 8: SHA-256, then MD5, without
/// parameters.
pub const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];
/// PASSWORD-ALGORITHM of MD5, without parameters.
pub const MD5: [u8; 4] = [0, 1, 0, 0];
/// PASSWORD-ALGORITHM of SHA-256, without parameters.
pub const SHA256: [u8; 4] = [0, 2, 0, 0];

/// Integrity attribute of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// MESSAGE-INTEGRITY.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256, truncated to this number of bytes.
    Sha256(usize),
    /// MESSAGE-INTEGRITY with a wrong value.
    WrongSha1,
    /// MESSAGE-INTEGRITY-SHA256 with a wrong value.
    WrongSha256,
}

/// Authentication attributes of a request.
#[derive(Clone, Debug)]
pub struct Signing {
    /// USERNAME.
    pub username: Option<String>,
    /// USERHASH.
    pub userhash: Option<Vec<u8>>,
    /// PASSWORD-ALGORITHMS.
    pub algorithms: Option<Vec<u8>>,
    /// PASSWORD-ALGORITHM.
    pub algorithm: Option<Vec<u8>>,
    /// Key of the integrity attributes.
    pub key: Vec<u8>,
    /// Integrity attributes, in order.
    pub signatures: Vec<Signature>,
}

impl Signing {
    /// Authenticates by RFC 8489, with SHA-256 for the key and the integrity attribute.
    pub fn modern(client: &Client) -> Self {
        Self {
            username: Some(client.username.clone()),
            userhash: None,
            algorithms: Some(OFFERED.to_vec()),
            algorithm: Some(SHA256.to_vec()),
            key: sha256_key(client),
            signatures: vec![Signature::Sha256(32)],
        }
    }

    /// Authenticates by RFC 5389.
    pub fn old(client: &Client) -> Self {
        Self {
            algorithms: None,
            algorithm: None,
            key: md5_key(client),
            signatures: vec![Signature::Sha1],
            ..Self::modern(client)
        }
    }

    /// Authenticates by RFC 8489, with USERHASH instead of USERNAME.
    pub fn anonymous(client: &Client) -> Self {
        let userhash = Some(userhash(&client.username));
        Self { username: None, userhash, ..Self::modern(client) }
    }

    /// Sends a request once, with the client's current nonce, and returns the response.
    pub fn ask(&self, client: &mut Client, server: &mut Server, request: &Request) -> Response {
        let transaction = client.transaction();
        let datagram = self.encode(request, &client.nonce, transaction);
        client.answer(server, &datagram, transaction)
    }

    /// Returns the signed request.
    pub fn encode(&self, request: &Request, nonce: &[u8], transaction: [u8; 12]) -> Vec<u8> {
        let parts = [
            (ATTR_USERNAME, self.username.clone().map(String::into_bytes)),
            (ATTR_USER_HASH, self.userhash.clone()),
            (ATTR_REALM, Some(REALM.into())),
            (ATTR_NONCE, Some(nonce.to_vec())),
            (ATTR_PASSWORD_ALGORITHMS, self.algorithms.clone()),
            (ATTR_PASSWORD_ALGORITHM, self.algorithm.clone()),
        ];
        let request = parts.into_iter().fold(request.clone(), |request, (kind, value)| match value {
            Some(value) => request.with(kind, &value),
            None => request,
        });
        let mut message = request.encode(transaction, None);
        for signature in &self.signatures {
            append(*signature, &self.key, &mut message);
        }
        message
    }

    /// Whether a response ends with a full-length MESSAGE-INTEGRITY-SHA256 under this key.
    pub fn has_signed(&self, response: &Response) -> bool {
        let bytes = response.bytes();
        let (covered, signature) = bytes.split_at(bytes.len() - 36);
        let mut again = covered.to_vec();
        append(Signature::Sha256(32), &self.key, &mut again);
        again[covered.len()..] == *signature
    }
}

/// Key of the long-term credential by MD5 (sections 9.2.2 and 18.5.1).
pub fn md5_key(client: &Client) -> Vec<u8> {
    client.key().0
}

/// Key of the long-term credential by SHA-256 (section 18.5.1.2).
pub fn sha256_key(client: &Client) -> Vec<u8> {
    Sha256::digest(format!("{}:{REALM}:{}", client.username, client.password)).to_vec()
}

/// USERHASH of a username (section 14.4).
pub fn userhash(username: &str) -> Vec<u8> {
    Sha256::digest(format!("{username}:{REALM}")).to_vec()
}

/// Returns a client that was offered both algorithms, because its first request was long enough for
/// that.
pub fn offered_all(server: &mut Server, address: &str, name: &str) -> Client {
    let mut client = Client::new(server, address, name);
    let challenge = client.ask_unsigned(server, &Request::allocate().with(ATTR_SOFTWARE, b"a long name"));
    assert_eq!((challenge.code(), challenge.get(ATTR_PASSWORD_ALGORITHMS)), (401, OFFERED.to_vec()));
    client.nonce = challenge.nonce();
    client
}

/// Appends an integrity attribute (sections 14.5 and 14.6). The length field covers the message up
/// to and including that attribute.
fn append(signature: Signature, key: &[u8], message: &mut Vec<u8>) {
    let (kind, size) = match signature {
        Signature::Sha1 | Signature::WrongSha1 => (ATTR_MESSAGE_INTEGRITY, 20),
        Signature::Sha256(size) => (ATTR_MESSAGE_INTEGRITY_SHA256, size),
        Signature::WrongSha256 => (ATTR_MESSAGE_INTEGRITY_SHA256, 32),
    };
    let whole = u16::try_from(message.len() - 20 + 4 + size).unwrap();
    message[2..4].copy_from_slice(&whole.to_be_bytes());
    let mut value = match kind {
        ATTR_MESSAGE_INTEGRITY => {
            let mut mac: Hmac<Sha1> = Hmac::new_from_slice(key).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }
        _ => {
            let mut mac: Hmac<Sha256> = Hmac::new_from_slice(key).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }
    };
    value.truncate(size);
    if matches!(signature, Signature::WrongSha1 | Signature::WrongSha256) {
        value[0] ^= 1;
    }
    message.extend(kind.0.to_be_bytes());
    message.extend(u16::try_from(size).unwrap().to_be_bytes());
    message.extend(value);
}
