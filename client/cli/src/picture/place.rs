//! Where in its rank each box stands: as near to what it is wired to as the others leave room.

use std::collections::BTreeMap;

use super::{
    Kind, Picture,
    card::{Sizes, Way, ends},
    layers::{BETWEEN, Layered},
    order::positions,
};

/// Sweeps down and up.
const SWEEPS: usize = 16;

/// The middles of vertices, and where on them segments end.
#[derive(Debug)]
pub(super) struct Places {
    /// Across, for each vertex.
    pub(super) middles: Vec<f64>,
    /// From the middle, for each segment: at its upper and at its lower vertex.
    pub(super) ports: Vec<(f64, f64)>,
}

/// Places ordered ranks.
pub(super) fn place(picture: &Picture, sizes: &Sizes, layered: &Layered, way: Way) -> Places {
    let ports = ports(picture, sizes, layered, way);
    let mut middles = vec![0.0; layered.vertices.len()];
    for rank in &layered.ranks {
        let wishes: Vec<_> = rank.iter().map(|_| (0.0, 1.0)).collect();
        settle(layered, rank, &wishes, &mut middles);
    }
    // For each vertex, what it is wired to: above or below, the other one, and how far the ends are from straight.
    let mut wired = vec![Vec::new(); layered.vertices.len()];
    for (segment, (upper, lower)) in layered.segments.iter().zip(&ports) {
        wired[segment.lower].push((true, segment.upper, upper - lower));
        wired[segment.upper].push((false, segment.lower, lower - upper));
    }
    let count = layered.ranks.len();
    for sweep in 0..SWEEPS {
        // At last both sides count; before that only the one that the sweep comes from.
        let (last, down) = (sweep + 2 >= SWEEPS, sweep % 2 == 0);
        for step in 0..count {
            let rank = &layered.ranks[if down { step } else { count - 1 - step }];
            let wish = |vertex: &usize| {
                let counted = wired[*vertex].iter().filter(|(above, ..)| last || *above == down);
                let (sum, count) = counted
                    .fold((0.0, 0.0), |(sum, count), (_, other, off)| (sum + middles[*other] + off, count + 1.0));
                match count {
                    0.0 => (middles[*vertex], 0.1),
                    // What passes stays straight.
                    _ if layered.vertices[*vertex].node.is_none() => (sum / count, 4.0),
                    _ => (sum / count, count),
                }
            };
            let wishes: Vec<_> = rank.iter().map(wish).collect();
            settle(layered, rank, &wishes, &mut middles);
        }
    }
    Places { middles, ports }
}

/// The middles that come nearest to the wishes (by weighted squares) without overlap: with the room between them taken out, an
/// isotonic regression, by pooling adjacent violators.
fn settle(layered: &Layered, rank: &[usize], wishes: &[(f64, f64)], middles: &mut [f64]) {
    let across = |vertex: usize| layered.vertices[vertex].across;
    let mut offsets = Vec::with_capacity(rank.len());
    let mut at = 0.0;
    for (index, vertex) in rank.iter().enumerate() {
        if let Some(before) = index.checked_sub(1) {
            at += f64::midpoint(across(rank[before]), across(*vertex)) + BETWEEN;
        }
        offsets.push(at);
    }
    // Mean, weight, members.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for ((wish, weight), offset) in wishes.iter().zip(&offsets) {
        pools.push((wish - offset, *weight, 1));
        while let [.., a, b] = pools.as_slice()
            && a.0 > b.0
        {
            let weight = a.1 + b.1;
            let joined = ((a.0 * a.1 + b.0 * b.1) / weight, weight, a.2 + b.2);
            pools.truncate(pools.len() - 2);
            pools.push(joined);
        }
    }
    let means = pools.iter().flat_map(|(mean, _, members)| std::iter::repeat_n(*mean, *members));
    for ((vertex, mean), offset) in rank.iter().zip(means).zip(offsets) {
        middles[*vertex] = mean + offset;
    }
}

/// Where segments end on their vertices: in the order of what they lead to, so that none crosses another one at its end.
fn ports(picture: &Picture, sizes: &Sizes, layered: &Layered, way: Way) -> Vec<(f64, f64)> {
    let positions = positions(layered);
    let mut sides: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for (index, segment) in layered.segments.iter().enumerate() {
        sides.entry((segment.upper, true)).or_default().push(index);
        sides.entry((segment.lower, false)).or_default().push(index);
    }
    let mut ports = vec![(0.0, 0.0); layered.segments.len()];
    for ((vertex, is_after), mut segments) in sides {
        let Some(node) = layered.vertices[vertex].node else { continue };
        segments.sort_by_key(|index| {
            let segment = layered.segments[*index];
            (positions[if is_after { segment.lower } else { segment.upper }], segment.plug)
        });
        let middles = if picture.nodes[node].kind == Kind::Pod {
            let plugs: Vec<_> = segments.iter().filter_map(|index| layered.segments[*index].plug).collect();
            sizes.tab_middles(&plugs, way)
        } else {
            ends(segments.len(), layered.vertices[vertex].across)
        };
        for (index, middle) in segments.into_iter().zip(middles) {
            let port = &mut ports[index];
            *(if is_after { &mut port.0 } else { &mut port.1 }) = middle;
        }
    }
    ports
}
