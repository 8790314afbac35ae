//! History: paging, polling, times, positions and gaps.

mod gaps;
mod polling;
mod positions;
mod times_and_pages;
