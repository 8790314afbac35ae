//! One publication as a row: the parts of its id, the columns of every kind of payload, and the checksum.

use std::sync::Arc;

use fanwire_protocol::{Payload, PayloadView};
use rusqlite::Row;

use super::error::StoreError;
use super::publication::StoredPublication;

const TEXT: i64 = 0;
const BINARY: i64 = 1;
const JSON: i64 = 2;
const MESSAGE_PACK: i64 = 3;

/// The number of bits of a row's id that hold the offset; those above hold the topic's id, and the sign is never used. A
/// topic of 80,000 publications a second begins a new epoch after eighty days.
const OFFSET_BITS: u32 = 39;

/// The last offset of an epoch.
pub(super) const OFFSET_MAX: u64 = (1 << OFFSET_BITS) - 1;

/// The largest id of a topic.
pub(super) const TOPIC_ID_MAX: i64 = (1 << (63 - OFFSET_BITS)) - 1;

/// Returns the id of the row of a publication.
pub(super) fn id(topic: i64, offset: u64) -> i64 {
    (topic << OFFSET_BITS) | offset.min(OFFSET_MAX) as i64
}

/// Returns the offset of the publication whose row has this id.
pub(super) fn offset(id: i64) -> u64 {
    id as u64 & OFFSET_MAX
}

/// The columns that [`publication`] reads, in its order.
pub(super) const COLUMNS: &str = "id, ts, kind, sender, payload, checksum";

/// Returns the kind and the bytes of a payload, in the encoding in which it was published.
pub(super) fn payload_columns(payload: &Payload) -> (i64, &[u8]) {
    match payload.view() {
        PayloadView::Text(text) => (TEXT, text.as_bytes()),
        PayloadView::Binary(bytes) => (BINARY, bytes),
        PayloadView::Json(text) => (JSON, text.as_bytes()),
        PayloadView::MessagePack(bytes) => (MESSAGE_PACK, bytes),
    }
}

/// Returns the checksum of a row (CRC-32 of IEEE 802.3) over all that readers are given.
pub(super) fn checksum(id: i64, ts: u64, kind: i64, sender: Option<&str>, payload: &[u8]) -> u32 {
    // The length separates a sender from the payload after it, and none from an empty one.
    let sender_len = sender.map_or(-1, |sender| sender.len() as i64);
    let mut head = [0; 32];
    for (part, number) in head.chunks_exact_mut(8).zip([id, ts as i64, kind, sender_len]) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    if let Some(sender) = sender {
        hasher.update(sender.as_bytes());
    }
    hasher.update(payload);
    hasher.finalize()
}

/// Reads the columns of [`COLUMNS`]. The inner result is an error if the row is not what was written; such a row is never
/// given to a client, and its offset is all that is known of it.
pub(super) fn publication(row: &Row<'_>) -> Result<(u64, Result<StoredPublication, StoreError>), StoreError> {
    let id: i64 = row.get(0)?;
    Ok((offset(id), content(id, row)))
}

fn content(id: i64, row: &Row<'_>) -> Result<StoredPublication, StoreError> {
    let bytes = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    let sender = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    let (ts, kind) = (row.get::<_, i64>(1)? as u64, row.get(2)?);
    let expected: Option<i64> = row.get(5)?;
    // Rows of format 1 have no checksum.
    if expected.is_some_and(|expected| expected != i64::from(checksum(id, ts, kind, sender, bytes))) {
        return Err(StoreError::damaged("a publication does not have the checksum it was written with"));
    }
    let payload = payload(kind, bytes)?;
    Ok(StoredPublication { offset: offset(id), ts, from: sender.map(Arc::from), payload })
}

fn payload(kind: i64, bytes: &[u8]) -> Result<Payload, StoreError> {
    let damaged = || StoreError::damaged("a publication's payload is not what it was accepted as");
    let text = || std::str::from_utf8(bytes).map_err(|_| damaged());
    match kind {
        TEXT => Ok(Payload::text(text()?)),
        BINARY => Ok(Payload::binary(bytes)),
        JSON => Payload::from_json(text()?).map_err(|_| damaged()),
        MESSAGE_PACK => Payload::from_msgpack(bytes).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_topic_and_offset_in_their_order() {
        for (topic, number) in
            [(1, 0), (1, 1), (1, OFFSET_MAX), (TOPIC_ID_MAX, 0), (TOPIC_ID_MAX, OFFSET_MAX)]
        {
            assert_eq!(offset(id(topic, number)), number);
            assert!(id(topic, number) > 0);
        }
        assert!(id(1, OFFSET_MAX) < id(2, 0));
        assert_eq!(id(1, u64::MAX), id(1, OFFSET_MAX));
    }

    #[test]
    fn a_checksum_depends_on_every_part_and_on_where_the_parts_end() {
        let parts = (id(1, 5), 9, TEXT, Some("ada"), b"hello");
        let all = [
            checksum(parts.0, parts.1, parts.2, parts.3, parts.4),
            checksum(id(1, 6), parts.1, parts.2, parts.3, parts.4),
            checksum(parts.0, 8, parts.2, parts.3, parts.4),
            checksum(parts.0, parts.1, BINARY, parts.3, parts.4),
            checksum(parts.0, parts.1, parts.2, Some("adah"), b"ello"),
            checksum(parts.0, parts.1, parts.2, Some(""), parts.4),
            checksum(parts.0, parts.1, parts.2, None, parts.4),
            checksum(parts.0, parts.1, parts.2, parts.3, b"hellp"),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn checksums_stay_what_they_are_in_databases() {
        assert_eq!(checksum(id(1, 5), 9, TEXT, Some("ada"), b"hello"), 0x9ac2_2776);
        assert_eq!(checksum(id(2, 1), 1_790_000_000_000, BINARY, None, &[7; 200]), 0x975d_afb5);
    }

    #[test]
    fn payloads_come_back_in_the_encoding_they_came_in() {
        for original in [
            Payload::text(""),
            Payload::text("grüße\0"),
            Payload::binary(&[0, 255][..]),
            Payload::from_json(" {\"a\":  [1, 18446744073709551615]} ").unwrap(),
            Payload::from_json("null").unwrap(),
            Payload::from_msgpack(&[0x81, 0xa1, b'a', 0xc4, 1, 7]).unwrap(),
        ] {
            let (kind, bytes) = payload_columns(&original);
            assert_eq!(payload(kind, bytes).unwrap().view(), original.view());
        }
    }

    #[test]
    fn what_is_no_payload_of_its_kind_is_damage() {
        for (kind, bytes) in
            [(TEXT, &[255][..]), (JSON, b"{"), (JSON, &[255]), (MESSAGE_PACK, &[0xc1]), (9, b"x"), (-1, b"")]
        {
            assert!(matches!(payload(kind, bytes), Err(StoreError::Damaged(_))), "{kind} {bytes:?}");
        }
    }
}
