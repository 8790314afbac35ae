//! Publishing: payloads, receipts, idempotency keys and order.

mod order;
mod payloads_everywhere;
mod receipts;
