//! Who stands beside whom in a rank, so that few cables cross: the barycenter method of Sugiyama, Tagawa and Toda (1981).

use super::{card::float, layers::Layered};

/// Sweeps down and up.
const SWEEPS: usize = 8;

/// Orders each rank; returns how many crossings are left.
pub(super) fn order(layered: &mut Layered) -> usize {
    let mut best = (crossings(layered), layered.ranks.clone());
    let mut wired = (vec![Vec::new(); layered.vertices.len()], vec![Vec::new(); layered.vertices.len()]);
    for segment in &layered.segments {
        wired.0[segment.lower].push(segment.upper);
        wired.1[segment.upper].push(segment.lower);
    }
    let mut positions = positions(layered);
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let count = layered.ranks.len();
        for step in 1..count {
            let rank = if sweep % 2 == 0 { step } else { count - 1 - step };
            let others = if sweep % 2 == 0 { &wired.0 } else { &wired.1 };
            barycenter(&mut layered.ranks[rank], others, &mut positions);
        }
        let now = crossings(layered);
        if now < best.0 {
            best = (now, layered.ranks.clone());
        }
    }
    layered.ranks = best.1;
    best.0
}

/// Where each vertex stands in its rank.
pub(super) fn positions(layered: &Layered) -> Vec<usize> {
    let mut positions = vec![0; layered.vertices.len()];
    for rank in &layered.ranks {
        rank.iter().enumerate().for_each(|(at, vertex)| positions[*vertex] = at);
    }
    positions
}

/// Sorts a rank by the mean place of what each member is wired to in the rank before it (or after it).
fn barycenter(rank: &mut [usize], others: &[Vec<usize>], positions: &mut [usize]) {
    let key = |vertex: usize| match others[vertex].as_slice() {
        [] => float(positions[vertex]),
        others => others.iter().map(|other| float(positions[*other])).sum::<f64>() / float(others.len()),
    };
    let mut keyed: Vec<_> = rank.iter().map(|vertex| (key(*vertex), *vertex)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (at, (place, (_, vertex))) in rank.iter_mut().zip(keyed).enumerate() {
        *place = vertex;
        positions[vertex] = at;
    }
}

/// Pairs of segments that cross.
fn crossings(layered: &Layered) -> usize {
    let positions = positions(layered);
    let mut gaps = vec![Vec::new(); layered.ranks.len()];
    for segment in &layered.segments {
        gaps[layered.vertices[segment.upper].rank].push((positions[segment.upper], positions[segment.lower]));
    }
    gaps.into_iter().map(inversions).sum()
}

/// Pairs of which one begins before the other and ends behind it.
fn inversions(mut pairs: Vec<(usize, usize)>) -> usize {
    pairs.sort_unstable();
    // A tree of Fenwick (1994): how many ends were seen up to a place.
    let mut tree = vec![0; pairs.iter().map(|(_, lower)| lower + 2).max().unwrap_or(1)];
    let mut found = 0;
    for (seen, (_, lower)) in pairs.iter().enumerate() {
        let (mut at, mut not_behind) = (lower + 1, 0);
        while at > 0 {
            not_behind += tree[at];
            at -= at & at.wrapping_neg();
        }
        found += seen - not_behind;
        at = lower + 1;
        while at < tree.len() {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_are_counted() {
        assert_eq!(inversions(vec![(0, 1), (1, 0)]), 1);
        assert_eq!(inversions(vec![(0, 0), (0, 1), (1, 0), (1, 1)]), 1);
        assert_eq!(inversions(vec![(0, 2), (1, 1), (2, 0)]), 3);
        assert_eq!(inversions(vec![(0, 0), (1, 1)]), 0);
    }
}
