//! Presence: members of a topic, and the events of their coming and going.

mod graces;
mod members;
mod observers;
mod reload;
