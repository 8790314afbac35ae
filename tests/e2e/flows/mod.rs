//! What the broker is for: publications from every way in to every way out.
