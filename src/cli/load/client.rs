//! Requests of one TURN client and its handling of responses (RFC 8489 section 9.2, RFC 8656),
//! without a socket.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use byway_turn::wire::{ChannelNumber, IntegrityKey, Message, PasswordAlgorithm, TransactionId};
use stun::attributes::{ATTR_CHANNEL_NUMBER, ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, METHOD_ALLOCATE, METHOD_BINDING,
    METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH, Message as Builder, MessageType, Method,
    Setter,
};
use turn::proto::lifetime::Lifetime;
use turn::proto::peeraddr::PeerAddress;
use turn::proto::reqtrans::RequestedTransport;
use turn::proto::{PROTO_UDP, channum};

use crate::cli::probe::credentials::Login;

/// Channel that each client binds.
pub(super) const CHANNEL: ChannelNumber = match ChannelNumber::new(channum::MIN_CHANNEL_NUMBER) {
    Some(number) => number,
    None => unreachable!(),
};

/// Request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Binding request, which checks that the server answers.
    Ask,
    Allocate,
    /// CreatePermission for the client's peer.
    Permit,
    /// ChannelBind for the client's peer.
    Bind,
    /// Refresh with a lifetime of zero, which deletes the allocation.
    Delete,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ask => "STUN binding",
            Self::Allocate => "allocation",
            Self::Permit => "permission",
            Self::Bind => "channel binding",
            Self::Delete => "deletion of an allocation",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Ask => METHOD_BINDING,
            Self::Allocate => METHOD_ALLOCATE,
            Self::Permit => METHOD_CREATE_PERMISSION,
            Self::Bind => METHOD_CHANNEL_BIND,
            Self::Delete => METHOD_REFRESH,
        }
    }
}

/// TURN client.
pub(super) struct Client {
    login: Rc<Login>,
    challenge: Option<Challenge>,
    /// Peer with which it exchanges media.
    pub(super) peer: Option<SocketAddr>,
    /// Its relayed transport address.
    pub(super) relayed: Option<SocketAddr>,
    /// Its address as the server sees it.
    pub(super) mapped: Option<SocketAddr>,
    pub(super) pending: Option<Pending>,
    /// Whether the last response was 438 (Stale Nonce).
    was_stale: bool,
}

/// Realm, nonce and key to sign requests with.
struct Challenge {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: IntegrityKey,
}

/// Request without a response.
pub(super) struct Pending {
    transaction: TransactionId,
    pub(super) step: Step,
    pub(super) message: Vec<u8>,
    /// Time of the last transmission, and number of transmissions.
    pub(super) sent: Duration,
    pub(super) tries: u32,
}

/// Meaning of a message for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Not a response to the pending request.
    Nothing,
    /// The request must be sent again with the realm and nonce of the challenge.
    Again(Step),
    Done,
    /// An error response.
    Refused(Step, u16),
    /// Success response that lacks a required attribute.
    Odd(Step),
}

impl Client {
    pub(super) fn new(login: Rc<Login>, peer: Option<SocketAddr>) -> Self {
        Self { login, challenge: None, peer, relayed: None, mapped: None, pending: None, was_stale: false }
    }

    /// Returns a fresh client of the same user.
    pub(super) fn anew(&self) -> Self {
        Self::new(Rc::clone(&self.login), self.peer)
    }

    /// Builds a request and stores it as pending.
    pub(super) fn ask(&mut self, step: Step, transaction: TransactionId, now: Duration) {
        let mut message = Builder::new();
        message.transaction_id.0 = transaction;
        message.set_type(MessageType::new(step.method(), CLASS_REQUEST));
        message.write_header();
        let peer = self.peer.map(|peer| PeerAddress { ip: peer.ip(), port: peer.port() });
        match step {
            Step::Ask => {}
            Step::Allocate => add(&mut message, &RequestedTransport { protocol: PROTO_UDP }),
            Step::Delete => add(&mut message, &Lifetime(Duration::ZERO)),
            Step::Permit | Step::Bind => {
                if step == Step::Bind {
                    let [n0, n1] = CHANNEL.get().to_be_bytes();
                    message.add(ATTR_CHANNEL_NUMBER, &[n0, n1, 0, 0]);
                }
                peer.iter().for_each(|peer| add(&mut message, peer));
            }
        }
        if let Some(Challenge { realm, nonce, key }) = self.challenge.as_ref().filter(|_| step != Step::Ask) {
            message.add(ATTR_USERNAME, self.login.username.as_bytes());
            message.add(ATTR_REALM, realm);
            message.add(ATTR_NONCE, nonce);
            key.sign(&mut message);
        }
        self.pending = Some(Pending { transaction, step, message: message.raw, sent: now, tries: 1 });
    }

    /// Handles a message from the server.
    pub(super) fn hear(&mut self, message: &[u8]) -> Heard {
        let Some(pending) = &self.pending else { return Heard::Nothing };
        let answer = Message::parse(message);
        let Some(answer) = answer.ok().filter(|answer| answer.transaction() == pending.transaction) else {
            return Heard::Nothing;
        };
        let (step, attributes) = (pending.step, answer.attributes());
        match answer.class() {
            CLASS_SUCCESS_RESPONSE => {
                (self.pending, self.was_stale) = (None, false);
                if step == Step::Allocate {
                    self.relayed = attributes.relayed_address().ok().flatten();
                    self.mapped = attributes.mapped_address().ok().flatten();
                    if self.relayed.is_none() {
                        return Heard::Odd(step);
                    }
                }
                Heard::Done
            }
            CLASS_ERROR_RESPONSE => {
                self.pending = None;
                let code = attributes.error_code().ok().flatten().unwrap_or_default();
                // A second stale nonce in a row is an error, since retries would not end.
                let is_stale = code == 438 && !std::mem::replace(&mut self.was_stale, code == 438);
                let is_challenge = is_stale || (code == 401 && self.challenge.is_none());
                match attributes.realm().zip(attributes.nonce()).filter(|_| is_challenge) {
                    Some((realm, nonce)) => {
                        self.take_up(realm, nonce);
                        Heard::Again(step)
                    }
                    None => Heard::Refused(step, code),
                }
            }
            _ => Heard::Nothing,
        }
    }

    fn take_up(&mut self, realm: &[u8], nonce: &[u8]) {
        let nonce = nonce.to_vec();
        match &mut self.challenge {
            // A stale nonce leaves the key valid.
            Some(challenge) if challenge.realm == realm => challenge.nonce = nonce,
            challenge => {
                let Login { username, password } = &*self.login;
                let key =
                    PasswordAlgorithm::Md5.key(username, &String::from_utf8_lossy(realm), password.as_ref());
                *challenge = Some(Challenge { realm: realm.to_vec(), nonce, key: IntegrityKey::sha1(&key) });
            }
        }
    }
}

/// Returns the bytes in front of a payload in a Send indication (RFC 8656 section 11.1), and the
/// number of padding bytes behind it.
pub(super) fn send_head(peer: SocketAddr, payload: usize) -> (Vec<u8>, usize) {
    use stun::attributes::ATTR_DATA;
    use stun::message::{CLASS_INDICATION, METHOD_SEND};
    let mut message = Builder::new();
    message.set_type(MessageType::new(METHOD_SEND, CLASS_INDICATION));
    message.write_header();
    add(&mut message, &PeerAddress { ip: peer.ip(), port: peer.port() });
    message.add(ATTR_DATA, &vec![0; payload]);
    let padded = payload.next_multiple_of(4);
    message.raw.truncate(message.raw.len() - padded);
    (message.raw, padded - payload)
}

fn add(message: &mut Builder, setter: &dyn Setter) {
    setter.add_to(message).expect("these setters fail for no value of these types");
}

#[cfg(test)]
mod tests {
    use super::*;
    use byway_turn::wire::{ErrorCode, Reply, Response};

    const PEER: &str = "192.0.2.1:9";

    fn client() -> Client {
        let login = Login { username: "user".to_owned(), password: "pass".to_owned().into() };
        Client::new(Rc::new(login), Some(PEER.parse().unwrap()))
    }

    fn reply(response: Response) -> Vec<u8> {
        let mut reply = Reply::new();
        response.finish(None, &mut reply);
        reply.as_bytes().to_vec()
    }

    fn pending(client: &Client) -> Message<'_> {
        Message::parse(&client.pending.as_ref().unwrap().message).unwrap()
    }

    #[test]
    fn a_challenge_is_answered_by_the_same_request_signed() {
        let mut client = client();
        client.ask(Step::Allocate, [1; 12], Duration::ZERO);
        let head = pending(&client).head();
        assert!(pending(&client).integrity().is_none());
        let challenge = || Response::error(head, ErrorCode::Unauthenticated).realm("realm").nonce(b"nonce");
        assert_eq!(client.hear(&reply(challenge())), Heard::Again(Step::Allocate));
        client.ask(Step::Allocate, [1; 12], Duration::ZERO);
        let request = pending(&client);
        let key = PasswordAlgorithm::Md5.key("user", "realm", "pass");
        assert!(request.integrity().unwrap().verify(&IntegrityKey::sha1(&key)));
        assert_eq!(request.attributes().nonce(), Some(&b"nonce"[..]));
        // A second challenge means that the credentials are wrong.
        assert_eq!(client.hear(&reply(challenge())), Heard::Refused(Step::Allocate, 401));
    }

    #[test]
    fn an_answer_to_another_request_is_none() {
        let mut client = client();
        client.ask(Step::Permit, [1; 12], Duration::ZERO);
        assert_eq!(pending(&client).attributes().peer_address(), Ok(Some(PEER.parse().unwrap())));
        let mut head = pending(&client).head();
        head.transaction = [2; 12];
        assert_eq!(client.hear(&reply(Response::success(head))), Heard::Nothing);
        head.transaction = [1; 12];
        assert_eq!(client.hear(&reply(Response::success(head))), Heard::Done);
        assert_eq!(client.hear(&reply(Response::success(head))), Heard::Nothing, "it came once");
    }

    #[test]
    fn an_allocation_without_a_relayed_address_is_none() {
        let mut client = client();
        client.ask(Step::Allocate, [1; 12], Duration::ZERO);
        let head = pending(&client).head();
        assert_eq!(client.hear(&reply(Response::success(head))), Heard::Odd(Step::Allocate));
    }

    #[test]
    fn a_send_indication_reads_back() {
        for size in 24..29 {
            let (mut message, padding) = send_head(PEER.parse().unwrap(), size);
            let payload = message.len();
            message.resize(payload + size + padding, 7);
            let message = Message::parse(&message).unwrap();
            assert_eq!(message.attributes().peer_address(), Ok(Some(PEER.parse().unwrap())));
            let data = message.attributes().data().unwrap();
            assert_eq!((data.start, data.len()), (payload, size));
        }
    }
}
