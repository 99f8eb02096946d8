//! Control messages (ancillary data) that accompany a datagram (cmsg(3)).
//!
//! Encoding and parsing are safe code: bytes from the kernel are parsed like any other input.

use libc::c_int;

/// Bytes for all control messages of one datagram. The largest set is an ICMPv6 error (64), an
/// IPV6_PKTINFO (40) and an IPV6_TCLASS (24).
const ROOM: usize = 128;

/// Bytes of a header: a length, which is a `size_t`, a level and a type.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<c_int>();

/// Control messages of one datagram, with the kernel's alignment.
#[repr(C, align(8))]
pub(super) struct Control {
    bytes: [u8; ROOM],
    length: usize,
}

/// One control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ControlMessage<'a> {
    /// Protocol, such as `IPPROTO_IP`.
    pub(super) level: c_int,
    /// Type within the protocol, such as `IP_TOS`.
    pub(super) kind: c_int,
    pub(super) data: &'a [u8],
}

impl Control {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }

    /// Adds a message, or drops it if it does not fit. All that this crate sends with a datagram
    /// fits.
    pub(super) fn push(&mut self, message: ControlMessage<'_>) {
        let ControlMessage { level, kind, data } = message;
        let end = self.length + aligned(HEADER + data.len());
        let Some(room) = self.bytes.get_mut(self.length..end) else { return };
        let (header, body) = room.split_at_mut(HEADER);
        let (length, rest) = header.split_at_mut(size_of::<usize>());
        length.copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        rest[..size_of::<c_int>()].copy_from_slice(&level.to_ne_bytes());
        rest[size_of::<c_int>()..].copy_from_slice(&kind.to_ne_bytes());
        body[..data.len()].copy_from_slice(data);
        self.length = end;
    }

    /// Returns the messages in order, up to the first that is cut short.
    pub(super) fn messages(&self) -> impl Iterator<Item = ControlMessage<'_>> {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || {
            let (&length, header) = rest.split_first_chunk()?;
            let (&level, header) = header.split_first_chunk()?;
            let (&kind, _) = header.split_first_chunk()?;
            let length = usize::from_ne_bytes(length);
            let data = rest.get(HEADER..length)?;
            rest = rest.get(aligned(length)..).unwrap_or_default();
            Some(ControlMessage {
                level: c_int::from_ne_bytes(level),
                kind: c_int::from_ne_bytes(kind),
                data,
            })
        })
    }

    /// Returns the bytes to send.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Returns the whole buffer for the kernel to write to.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Sets the number of bytes that the kernel has written.
    pub(super) fn set_length(&mut self, length: usize) {
        self.length = length;
    }
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOS: ControlMessage<'_> =
        ControlMessage { level: libc::IPPROTO_IP, kind: libc::IP_TOS, data: &[0x2E << 2] };
    const INFO: ControlMessage<'_> =
        ControlMessage { level: libc::IPPROTO_IPV6, kind: libc::IPV6_PKTINFO, data: &[7; 20] };

    #[test]
    fn messages_read_back_in_order() {
        let mut control = Control::new();
        for message in [TOS, INFO, TOS] {
            control.push(message);
        }
        assert!(control.messages().eq([TOS, INFO, TOS]));
    }

    #[test]
    fn a_message_without_room_is_not_half_there() {
        let mut control = Control::new();
        for _ in 0..10 {
            control.push(INFO);
        }
        assert_eq!(control.messages().count(), 3);
        assert!(control.messages().all(|message| message == INFO));
    }

    proptest! {
        #[test]
        fn whatever_is_there_is_read_without_a_panic(bytes: [u8; 64], more: [u8; 64], lie: u8, length in 0..300_usize) {
            let mut control = Control::new();
            control.room()[..64].copy_from_slice(&bytes);
            control.room()[64..].copy_from_slice(&more);
            // Keeps the length of the first message within 255 bytes.
            control.room()[..size_of::<usize>()].copy_from_slice(&usize::from(lie).to_ne_bytes());
            control.set_length(length);
            prop_assert!(control.messages().count() <= ROOM / HEADER);
        }
    }
}
