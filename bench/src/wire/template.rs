//! A publication made ahead of time: only the stamp differs from one to the next, so publishing is a copy.

use std::fmt;
use std::rc::Rc;

use super::websocket::MASKING_KEY;
use crate::stamp::{STAMP_BYTES, Stamp};

/// The bytes of one publication, ready to be sent once they are stamped.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// `None` if it goes out as it is.
    stamp_at: Option<usize>,
    mask: [u8; STAMP_BYTES],
    /// The remaining work for each one, if there is any.
    finish: Option<Finish>,
}

/// Changes the bytes of a publication.
type Change = dyn Fn(&mut [u8]);

/// The last change to a publication that has its stamp, such as a signature of all of it.
#[derive(Clone)]
pub(crate) struct Finish(Rc<Change>);

impl Finish {
    /// Calls `finish` with the bytes of every publication.
    pub(crate) fn new(finish: impl Fn(&mut [u8]) + 'static) -> Self {
        Self(Rc::new(finish))
    }
}

impl fmt::Debug for Finish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Finish")
    }
}

impl Template {
    /// A payload of `payload_bytes` with room for the stamp.
    ///
    /// It is plain text, so that every encoding carries it as it is.
    pub(crate) fn payload(payload_bytes: usize) -> String {
        let blank = Stamp { publisher: 0, sequence: 0, due_nanos: 0 }.to_bytes();
        let mut payload: String = blank.iter().map(|byte| char::from(*byte)).collect();
        payload.extend(std::iter::repeat_n('.', payload_bytes.saturating_sub(STAMP_BYTES)));
        payload
    }

    /// A template from a message that contains [`Template::payload`], made a frame by `frame`: the WebSocket writer
    /// for the sender's side, which says where the frame's own payload begins.
    ///
    /// # Panics
    /// If the message does not contain the payload's blank stamp; drivers build it from nothing else.
    pub(crate) fn new(message: &[u8], frame: (Vec<u8>, usize), masked: Masked) -> Self {
        let blank = Stamp { publisher: 0, sequence: 0, due_nanos: 0 }.to_bytes();
        let at = memchr::memmem::find(message, &blank).expect("every template is built around a blank stamp");
        let (bytes, start) = frame;
        let mask = match masked {
            Masked::Yes => std::array::from_fn(|index| MASKING_KEY[(at + index) % MASKING_KEY.len()]),
            Masked::No => [0; STAMP_BYTES],
        };
        Self { bytes, stamp_at: Some(start + at), mask, finish: None }
    }

    /// The same, and `finish` has the last word on every publication.
    #[must_use]
    pub(crate) fn finished_by(mut self, finish: Finish) -> Self {
        self.finish = Some(finish);
        self
    }

    /// Something that is no publication and goes out as it is.
    pub(crate) fn unstamped(bytes: Vec<u8>) -> Self {
        Self { bytes, stamp_at: None, mask: [0; STAMP_BYTES], finish: None }
    }

    /// Appends the publication with `stamp` to `out`.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let Some(at) = self.stamp_at.map(|at| start + at) else { return };
        for ((byte, plain), key) in out[at..].iter_mut().zip(stamp.to_bytes()).zip(self.mask) {
            *byte = plain ^ key;
        }
        if let Some(Finish(finish)) = &self.finish {
            finish(&mut out[start..]);
        }
    }

    /// The length of the publication as sent, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Whether a frame is masked: a client's is, a server's is not (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Masked {
    /// Written by a client.
    Yes,
    /// Written by a server.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::StampFinder;
    use crate::wire::websocket::{TEXT, client_frame, server_frame};

    #[test]
    fn stamped_templates_carry_their_stamp_masked_or_not() {
        let message = format!("{{\"data\":\"{}\"}}", Template::payload(40)).into_bytes();
        let stamp = Stamp { publisher: 7, sequence: 123_456, due_nanos: 987_654_321 };

        let (frame, start) = server_frame(TEXT, &message);
        let mut plain = b"earlier".to_vec();
        Template::new(&message, (frame, start), Masked::No).write(stamp, &mut plain);
        assert_eq!(StampFinder::default().find(&plain[7 + start..]), Some(stamp));

        let (frame, start) = client_frame(TEXT, &message);
        let template = Template::new(&message, (frame, start), Masked::Yes);
        let mut masked = Vec::new();
        template.write(stamp, &mut masked);
        assert_eq!(masked.len(), template.len());
        let unmasked: Vec<u8> =
            masked[start..].iter().zip(MASKING_KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(StampFinder::default().find(&unmasked), Some(stamp));
        assert!(unmasked.ends_with(b"...\"}"));
    }

    #[test]
    fn payloads_have_the_asked_length_and_at_least_a_stamp() {
        assert_eq!(Template::payload(128).len(), 128);
        assert_eq!(Template::payload(16).len(), 16);
        assert_eq!(Template::payload(0).len(), STAMP_BYTES);
    }
}
