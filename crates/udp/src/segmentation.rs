//! Decision whether the kernel segments joined messages (UDP_SEGMENT, "GSO").

use std::io;

/// Number of messages that go one by one after a device refused to segment. Then segmentation is
/// tried again: by then, the driver may have been reconfigured, or the route may have changed.
const REFUSED_FOR: u32 = 1000;

/// Decides for each joined message whether the kernel segments it.
pub(super) struct Segmentation {
    is_possible: bool,
    /// Number of messages to send one by one before segmentation is tried again.
    paused: u32,
}

impl Segmentation {
    pub(super) fn new(is_possible: bool) -> Self {
        Self { is_possible, paused: 0 }
    }

    pub(super) fn is_possible(&self) -> bool {
        self.is_possible
    }

    /// Whether the kernel is to segment the next joined message.
    pub(super) fn is_on(&mut self) -> bool {
        let is_on = self.is_possible && self.paused == 0;
        self.paused = self.paused.saturating_sub(1);
        is_on
    }

    /// Records the error of a refusal. A size that does not fit concerns that message alone.
    pub(super) fn refused(&mut self, error: &io::Error) {
        if error.raw_os_error() == Some(libc::EIO) {
            self.paused = REFUSED_FOR;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_refuses_is_asked_again_later() {
        let mut segmentation = Segmentation::new(true);
        segmentation.refused(&io::Error::from_raw_os_error(libc::EINVAL));
        assert!(segmentation.is_on(), "only that message was too large");
        segmentation.refused(&io::Error::from_raw_os_error(libc::EIO));
        assert!((0..REFUSED_FOR).all(|_| !segmentation.is_on()));
        assert!(segmentation.is_on());
    }
}
