//! Publishing: payloads, receipts, idempotency keys and order.

mod keys;
mod order;
mod payloads_everywhere;
mod receipts;
