//! The rows, in groups that are measured together: all sides of a comparison in each round.

mod change;
mod crowd;
mod disk;
mod ping;
mod rates;
mod thousand;
mod traffic;
mod triangle;

use anyhow::Result;

use crate::{
    bench::Bench,
    figures::{Row, Samples},
};

pub(crate) use crowd::growth;

/// Rows that are measured together.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) rows: &'static [Row],
    /// Rounds of a whole run, and of a small one; 0: not in that one.
    pub(crate) rounds: [usize; 2],
    /// One round. Its number decides who comes first.
    pub(crate) round: fn(&Bench, usize, &mut Samples) -> Result<()>,
}

/// All of them, in the order of the table.
pub(crate) const GROUPS: &[Group] = &[
    triangle::BRIDGES,
    triangle::LINKS,
    disk::DISK,
    crowd::CROWD,
    change::CHANGE,
    ping::PING,
    rates::RATES,
    traffic::TRAFFIC,
    thousand::THOUSAND,
];

/// Runs the sides of a comparison, each time beginning with another one.
pub(crate) fn in_turn(round: usize, sides: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<()> {
    let count = sides.len();
    (0..count).try_for_each(|side| sides[(round + side) % count]())
}
