//! A stream inside WebSocket frames: their payloads are one stream of items that end where they like.

use super::Event;
use super::carry::{Carry, ItemTooLong};
use super::websocket::{self, Header, PONG, client_frame};

/// The longest header of a server's frame, in bytes.
const HEADER_BYTES_MAX: usize = 10;

/// Takes frames apart and hands on what is in them, item by item.
#[derive(Debug, Default)]
pub(super) struct InnerStream {
    /// The beginning of a frame header.
    header: Vec<u8>,
    /// The rest of the frame being read, and its opcode.
    remaining: usize,
    opcode: u8,
    carry: Carry,
}

impl InnerStream {
    /// Reads the next bytes. `item_bytes` says how long an item is, as for [`Carry::split`]; `read_item` reads a whole one.
    pub(super) fn feed<F: FnMut(Event<'_>)>(
        &mut self,
        mut input: &[u8],
        on_event: &mut F,
        item_bytes: impl Fn(&[u8], &[u8]) -> usize,
        read_item: impl Fn(&[u8], &mut F),
    ) {
        while !input.is_empty() {
            if self.remaining == 0 {
                input = self.read_header(input);
                continue;
            }
            let (piece, rest) = input.split_at(input.len().min(self.remaining));
            self.remaining -= piece.len();
            input = rest;
            match self.opcode {
                websocket::PING => on_event(Event::Answer(client_frame(PONG, piece).0)),
                websocket::PONG => {}
                websocket::CLOSE => {
                    return on_event(Event::Ended(format!(
                        "the server closed the WebSocket: {}",
                        String::from_utf8_lossy(piece.get(2..).unwrap_or_default())
                    )));
                }
                _ => {
                    let cut = self.carry.split(piece, &item_bytes, |item| read_item(item, on_event));
                    if let Err(ItemTooLong(length)) = cut {
                        return on_event(Event::Ended(format!("a message says it has {length} bytes")));
                    }
                }
            }
        }
    }

    /// Takes the next frame header, or what there is of it, from `input` and gives the rest.
    fn read_header<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let before = self.header.len();
        self.header.extend(input.iter().take(HEADER_BYTES_MAX - before));
        let Some(header) = Header::read(&self.header) else { return &[] };
        (self.remaining, self.opcode) = (header.payload_bytes, header.opcode);
        self.header.clear();
        &input[header.header_bytes - before..]
    }
}
