//! One publication as a row: what its id is made of, and how payloads of every kind are kept and given back as they came.

use std::sync::Arc;

use fanwire_protocol::{Payload, PayloadView};
use rusqlite::Row;

use super::{StoreError, StoredPublication};

const TEXT: i64 = 0;
const BINARY: i64 = 1;
const JSON: i64 = 2;
const MESSAGE_PACK: i64 = 3;

/// How many bits of a row's id are the offset; those above are the topic's id, and the sign is never used. A topic of
/// 80,000 publications a second begins a new epoch after eighty days.
const OFFSET_BITS: u32 = 39;

/// The last offset of an epoch.
pub(super) const OFFSET_MAX: u64 = (1 << OFFSET_BITS) - 1;

/// The largest id of a topic.
pub(super) const TOPIC_ID_MAX: i64 = (1 << (63 - OFFSET_BITS)) - 1;

/// The id of the row of a publication.
pub(super) fn id(topic: i64, offset: u64) -> i64 {
    (topic << OFFSET_BITS) | offset.min(OFFSET_MAX) as i64
}

/// The offset of the publication whose row has this id.
pub(super) fn offset(id: i64) -> u64 {
    id as u64 & OFFSET_MAX
}

/// The columns [`publication`] reads, in its order.
pub(super) const COLUMNS: &str = "id, ts, kind, sender, payload";

/// The kind and bytes a payload is kept as: those it came in.
pub(super) fn payload_columns(payload: &Payload) -> (i64, &[u8]) {
    match payload.view() {
        PayloadView::Text(text) => (TEXT, text.as_bytes()),
        PayloadView::Binary(bytes) => (BINARY, bytes),
        PayloadView::Json(text) => (JSON, text.as_bytes()),
        PayloadView::MessagePack(bytes) => (MESSAGE_PACK, bytes),
    }
}

/// Reads the columns of [`COLUMNS`]. What does not make a payload of its kind is damage, and is never handed on.
pub(super) fn publication(row: &Row<'_>) -> Result<StoredPublication, StoreError> {
    let bytes = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    let sender = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(StoredPublication {
        offset: offset(row.get(0)?),
        ts: row.get::<_, i64>(1)? as u64,
        from: sender.map(Arc::from),
        payload: payload(row.get(2)?, bytes)?,
    })
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
        for (topic, place) in [(1, 0), (1, 1), (1, OFFSET_MAX), (TOPIC_ID_MAX, 0), (TOPIC_ID_MAX, OFFSET_MAX)]
        {
            assert_eq!(offset(id(topic, place)), place);
            assert!(id(topic, place) > 0);
        }
        assert!(id(1, OFFSET_MAX) < id(2, 0));
        assert_eq!(id(1, u64::MAX), id(1, OFFSET_MAX));
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
