//! The store as an archive of the engine.

use std::rc::Rc;
use std::sync::Arc;

use super::{Scratch, open};
use crate::engine::{Archive, conformance};

#[test]
fn the_store_keeps_every_promise_of_an_archive() {
    conformance::check(&|| {
        let scratch = Rc::new(Scratch::new());
        Box::new(move || -> Arc<dyn Archive> { Arc::new(open(&scratch.0)) })
    });
}
