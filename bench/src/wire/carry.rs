//! Cuts a stream that is read in pieces into items. An item may end anywhere in a piece.
//!
//! Owns the few bytes of an item whose end has not come yet. Does not know what an item is; a whole one is handed on
//! straight from the reader's buffer, without a copy.

/// No item of any peer is longer: frames carry at most 1 MiB, and this stops a length that was read wrongly.
const ITEM_BYTES_MAX: usize = 16 << 20;

/// The beginning of an item, kept until the rest has come.
#[derive(Debug, Default)]
pub(super) struct Carry {
    held: Vec<u8>,
}

/// An item longer than any peer sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ItemTooLong(pub(super) usize);

impl Carry {
    /// Cuts `input`, which continues what was held, into items and hands each to `on_item`.
    ///
    /// `length(held, more)` says how long the item at the start of `held` followed by `more` is. As long as that
    /// cannot be known, it gives a number larger than what it has seen and not larger than the item.
    pub(super) fn split(
        &mut self,
        mut input: &[u8],
        length: impl Fn(&[u8], &[u8]) -> usize,
        mut on_item: impl FnMut(&[u8]),
    ) -> Result<(), ItemTooLong> {
        while !self.held.is_empty() {
            let needed = length(&self.held, input);
            if needed > ITEM_BYTES_MAX {
                return Err(ItemTooLong(needed));
            }
            if needed <= self.held.len() {
                on_item(&self.held);
                // Idle connections own no buffer; busy ones cut items all the time and keep theirs.
                self.held.clear();
                break;
            }
            if input.is_empty() {
                return Ok(());
            }
            let (taken, rest) = input.split_at(input.len().min(needed - self.held.len()));
            self.held.extend_from_slice(taken);
            input = rest;
        }
        while !input.is_empty() {
            let needed = length(&[], input);
            if needed > ITEM_BYTES_MAX {
                return Err(ItemTooLong(needed));
            }
            let Some((item, rest)) = input.split_at_checked(needed) else {
                self.held.extend_from_slice(input);
                break;
            };
            on_item(item);
            input = rest;
        }
        Ok(())
    }
}

/// The length of an item that is one line, its line feed included, for [`Carry::split`].
pub(super) fn line_bytes(held: &[u8], more: &[u8]) -> usize {
    // A held line has no line feed yet, except for the one that made it whole.
    if held.last() == Some(&b'\n') {
        return held.len();
    }
    held.len() + memchr::memchr(b'\n', more).unwrap_or(more.len()) + 1
}
