//! Tokens of a shard's poll.

use mio::Token;

/// Event source of the poll: its kind, and its index among sources of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollToken {
    /// A UDP listener.
    UdpListener(usize),
    /// A TCP listener.
    TcpListener(usize),
    /// A relay socket.
    RelaySocket(usize),
    /// A client's connection.
    Connection(usize),
    /// The mailbox, with messages from other threads.
    Mailbox,
    /// The timer.
    Timer,
}

/// Number of kinds of sources.
const KINDS: usize = 6;

impl From<PollToken> for Token {
    fn from(token: PollToken) -> Self {
        let (kind, place) = match token {
            PollToken::UdpListener(place) => (0, place),
            PollToken::TcpListener(place) => (1, place),
            PollToken::RelaySocket(place) => (2, place),
            PollToken::Connection(place) => (3, place),
            PollToken::Mailbox => (4, 0),
            PollToken::Timer => (5, 0),
        };
        Self(place * KINDS + kind)
    }
}

impl From<Token> for PollToken {
    fn from(Token(token): Token) -> Self {
        let place = token / KINDS;
        match token % KINDS {
            0 => Self::UdpListener(place),
            1 => Self::TcpListener(place),
            2 => Self::RelaySocket(place),
            3 => Self::Connection(place),
            4 => Self::Mailbox,
            _ => Self::Timer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_one_source() {
        for place in [0, 1, 7, 1_000_000] {
            for source in [
                PollToken::UdpListener(place),
                PollToken::TcpListener(place),
                PollToken::RelaySocket(place),
                PollToken::Connection(place),
            ] {
                assert_eq!(PollToken::from(Token::from(source)), source);
            }
        }
        for source in [PollToken::Mailbox, PollToken::Timer] {
            assert_eq!(PollToken::from(Token::from(source)), source);
        }
    }
}
