//! What a token of a shard's poll stands for.

use mio::Token;

/// Something that the kernel names ready, by its place among its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A UDP listener.
    Listener(usize),
    /// A TCP listener.
    Door(usize),
    /// A relay socket.
    Relay(usize),
    /// A client's connection.
    Stream(usize),
    /// Letters from other threads.
    Mailbox,
    /// The timer.
    Alarm,
}

/// How many kinds there are.
const KINDS: usize = 6;

impl From<Source> for Token {
    fn from(source: Source) -> Self {
        let (kind, place) = match source {
            Source::Listener(place) => (0, place),
            Source::Door(place) => (1, place),
            Source::Relay(place) => (2, place),
            Source::Stream(place) => (3, place),
            Source::Mailbox => (4, 0),
            Source::Alarm => (5, 0),
        };
        Self(place * KINDS + kind)
    }
}

impl From<Token> for Source {
    fn from(Token(token): Token) -> Self {
        let place = token / KINDS;
        match token % KINDS {
            0 => Self::Listener(place),
            1 => Self::Door(place),
            2 => Self::Relay(place),
            3 => Self::Stream(place),
            4 => Self::Mailbox,
            _ => Self::Alarm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_one_source() {
        for place in [0, 1, 7, 1_000_000] {
            for source in
                [Source::Listener(place), Source::Door(place), Source::Relay(place), Source::Stream(place)]
            {
                assert_eq!(Source::from(Token::from(source)), source);
            }
        }
        for source in [Source::Mailbox, Source::Alarm] {
            assert_eq!(Source::from(Token::from(source)), source);
        }
    }
}
