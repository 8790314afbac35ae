//! The floor's answer to its publisher: a byte for each publication.

use super::Event;

/// Counts acknowledgements by their bytes.
#[derive(Debug, Default)]
pub(crate) struct AcknowledgementBytes;

impl AcknowledgementBytes {
    pub(super) fn feed(&mut self, input: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        if !input.is_empty() {
            on_event(Event::Acknowledged(input.len() as u64));
        }
    }
}
