//! The options of netem: `struct tc_netem_qopt` and attributes behind it (linux/pkt_sched.h, net/sched/sch_netem.c).

use crate::domain::impairment::{Chance, Distribution, Loss, Netem, Share};

use super::{
    attribute::{attributes, push, u32_at, u64_at},
    delays,
};

const TCA_NETEM_CORR: u16 = 1;
const TCA_NETEM_DELAY_DIST: u16 = 2;
const TCA_NETEM_REORDER: u16 = 3;
const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_LOSS: u16 = 5;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_ECN: u16 = 7;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
const TCA_NETEM_SLOT: u16 = 12;

/// The Gilbert-Elliott chain within `TCA_NETEM_LOSS`.
const NETEM_LOSS_GE: u16 = 2;

/// Bytes of `struct tc_netem_qopt`: latency, limit, loss, gap, duplicate, jitter.
const QOPT_BYTES: usize = 24;

/// Nanoseconds of a tick of `latency` and `jitter`: two to the power of it.
const TICK_SHIFT: u32 = 6;

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// What makes netem do this and nothing else. Correlations and shares of 0 are sent too: what is left out stays as it was.
pub(super) fn options(netem: &Netem) -> Vec<u8> {
    let ticks = |nanoseconds: u64| u32::try_from(nanoseconds >> TICK_SHIFT).unwrap_or(u32::MAX);
    let random = match netem.loss {
        Loss::Random(chance) => chance,
        Loss::GilbertElliott { .. } => Chance::default(),
    };
    let (loss, duplicate) = (random.share.raw(), netem.duplicate.share.raw());
    let mut bytes = numbers(&[ticks(netem.delay), netem.packets, loss, netem.gap, duplicate, ticks(netem.jitter)]);
    let correlations = [netem.delay_correlation, random.correlation, netem.duplicate.correlation].map(Share::raw);
    push(&mut bytes, TCA_NETEM_CORR, &numbers(&correlations));
    for (kind, chance) in [(TCA_NETEM_REORDER, netem.reorder), (TCA_NETEM_CORRUPT, netem.corrupt)] {
        push(&mut bytes, kind, &numbers(&[chance.share.raw(), chance.correlation.raw()]));
    }
    if let Loss::GilbertElliott { p, r, bad, good } = netem.loss {
        let mut chain = Vec::new();
        // The kernel has h, what passes in the bad state, and 1-k, what is lost in the good one.
        push(&mut chain, NETEM_LOSS_GE, &numbers(&[p, r, bad.rest(), good].map(Share::raw)));
        push(&mut bytes, TCA_NETEM_LOSS, &chain);
    }
    // `struct tc_netem_rate`, all zero: the rate is the token bucket's affair.
    push(&mut bytes, TCA_NETEM_RATE, &[0; 16]);
    push(&mut bytes, TCA_NETEM_LATENCY64, &netem.delay.to_ne_bytes());
    push(&mut bytes, TCA_NETEM_JITTER64, &netem.jitter.to_ne_bytes());
    if let Some(table) = delays::table(netem.distribution) {
        let table: Vec<u8> = table.iter().flat_map(|delay| delay.to_ne_bytes()).collect();
        push(&mut bytes, TCA_NETEM_DELAY_DIST, &table);
    }
    bytes
}

/// What netem shows; `None`: it does something that podwire never asks for.
pub(super) fn of(options: &[u8], distribution: Distribution) -> Option<Netem> {
    let qopt = options.get(..QOPT_BYTES)?;
    let field = |n: usize| u32_at(qopt, 4 * n);
    let share = |bytes: &[u8], n: usize| Share::from_raw(u32_at(bytes, 4 * n));
    let mut random = Chance { share: share(qopt, 2), correlation: Share::NONE };
    let mut chain = None;
    let mut netem = Netem {
        delay: u64::from(field(0)) << TICK_SHIFT,
        jitter: u64::from(field(5)) << TICK_SHIFT,
        distribution,
        packets: field(1),
        gap: field(3),
        duplicate: Chance { share: share(qopt, 4), correlation: Share::NONE },
        ..Netem::default()
    };
    for (kind, value) in attributes(&options[QOPT_BYTES..]) {
        match kind {
            TCA_NETEM_CORR => {
                netem.delay_correlation = share(value, 0);
                random.correlation = share(value, 1);
                netem.duplicate.correlation = share(value, 2);
            }
            TCA_NETEM_REORDER => netem.reorder = Chance { share: share(value, 0), correlation: share(value, 1) },
            TCA_NETEM_CORRUPT => netem.corrupt = Chance { share: share(value, 0), correlation: share(value, 1) },
            TCA_NETEM_LATENCY64 => netem.delay = u64_at(value, 0),
            TCA_NETEM_JITTER64 => netem.jitter = u64_at(value, 0),
            TCA_NETEM_LOSS => {
                let (_, value) = attributes(value).find(|(kind, _)| *kind == NETEM_LOSS_GE)?;
                let (p, r, bad, good) = (share(value, 0), share(value, 1), share(value, 2).rest(), share(value, 3));
                chain = Some(Loss::GilbertElliott { p, r, bad, good });
            }
            TCA_NETEM_RATE if u32_at(value, 0) > 0 => return None,
            TCA_NETEM_RATE64 | TCA_NETEM_ECN | TCA_NETEM_SLOT => return None,
            _ => {}
        }
    }
    netem.loss = chain.unwrap_or(Loss::Random(random));
    Some(netem)
}
