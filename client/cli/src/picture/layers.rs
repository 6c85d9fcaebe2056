//! Ranks: which boxes stand in one row. Cables run only between neighbouring ranks, so none crosses a box.
//!
//! Pods and wires are the two sides of a bipartite graph: in the breadth-first order from any box each cable goes from one
//! level to the next. A level that is too long is folded into several ranks; what has to pass a rank gets a place of its
//! own there, a vertex without a node, one for each wire.

use super::{
    Picture,
    card::{Sizes, Way, least_length},
};

/// Room that a cable takes where it passes a rank.
const PASSAGE: f64 = 14.0;
/// Between two boxes of a rank.
pub(super) const BETWEEN: f64 = 18.0;

/// A place in a rank.
#[derive(Debug, Clone)]
pub(super) struct Vertex {
    /// The box; none where cables pass.
    pub(super) node: Option<usize>,
    pub(super) rank: usize,
    /// Length within the rank.
    pub(super) across: f64,
    /// Length in the direction in which ranks follow each other.
    pub(super) along: f64,
}

/// A cable, or a part of one, between a rank and the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) upper: usize,
    pub(super) lower: usize,
    /// The interface that it ends at; none of a part that several share.
    pub(super) plug: Option<usize>,
}

/// A component in ranks.
#[derive(Debug, Clone)]
pub(super) struct Layered {
    pub(super) vertices: Vec<Vertex>,
    pub(super) segments: Vec<Segment>,
    /// Vertices of each rank in their order.
    pub(super) ranks: Vec<Vec<usize>>,
}

/// Nodes that hang together, each component by ascending number.
pub(super) fn components(picture: &Picture) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = Vec::new();
    let neighbours = neighbours(picture);
    let mut seen = vec![false; picture.nodes.len()];
    for start in 0..picture.nodes.len() {
        if seen[start] {
            continue;
        }
        let mut component: Vec<_> = levels(&neighbours, start).into_iter().flatten().collect();
        for node in &component {
            seen[*node] = true;
        }
        component.sort_unstable();
        found.push(component);
    }
    found
}

/// What each node is wired to.
pub(super) fn neighbours(picture: &Picture) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); picture.nodes.len()];
    for plug in &picture.cables {
        neighbours[plug.pod].push(plug.wire);
        neighbours[plug.wire].push(plug.pod);
    }
    neighbours
}

/// Breadth-first levels from a node.
pub(super) fn levels(neighbours: &[Vec<usize>], root: usize) -> Vec<Vec<usize>> {
    let mut seen = vec![false; neighbours.len()];
    seen[root] = true;
    let mut levels = vec![vec![root]];
    loop {
        let mut next = Vec::new();
        for node in levels.iter().next_back().into_iter().flatten() {
            for other in &neighbours[*node] {
                if !std::mem::replace(&mut seen[*other], true) {
                    next.push(*other);
                }
            }
        }
        if next.is_empty() {
            return levels;
        }
        levels.push(next);
    }
}

impl Layered {
    /// Stands the levels in ranks of about `longest` pixels at most.
    pub(super) fn new(picture: &Picture, sizes: &Sizes, levels: &[Vec<usize>], way: Way, longest: f64) -> Self {
        let mut level_of = vec![usize::MAX; picture.nodes.len()];
        for (level, nodes) in levels.iter().enumerate() {
            for node in nodes {
                level_of[*node] = level;
            }
        }
        let (mut before, mut after) = (vec![Vec::new(); level_of.len()], vec![Vec::new(); level_of.len()]);
        let plugs: Vec<_> =
            (0..picture.cables.len()).filter(|plug| level_of[picture.cables[*plug].pod] != usize::MAX).collect();
        for plug in &plugs {
            let (pod, wire) = (picture.cables[*plug].pod, picture.cables[*plug].wire);
            let (upper, lower) = if level_of[pod] < level_of[wire] { (pod, wire) } else { (wire, pod) };
            after[upper].push(*plug);
            before[lower].push(*plug);
        }
        let mut layered = Self { vertices: Vec::new(), segments: Vec::new(), ranks: Vec::new() };
        let mut vertex_of = vec![usize::MAX; level_of.len()];
        for nodes in levels {
            let measured: Vec<_> = nodes
                .iter()
                .map(|node| (*node, sizes.node(picture, *node, &before[*node], &after[*node], way)))
                .collect();
            let whole: f64 = measured.iter().map(|(_, (across, _))| across + BETWEEN).sum();
            let row = whole / (whole / longest).ceil().max(1.0);
            let mut used = f64::MAX;
            for (node, (across, along)) in measured {
                // A row ends where it is about as long as the others will be.
                if used + across / 2.0 > row {
                    layered.ranks.push(Vec::new());
                    used = 0.0;
                }
                used += across + BETWEEN;
                vertex_of[node] = layered.vertex(Some(node), layered.ranks.len() - 1, (across, along));
            }
        }
        for wire in levels.iter().flatten().filter(|node| plugs.iter().any(|plug| picture.cables[*plug].wire == **node))
        {
            let ends: Vec<_> = plugs
                .iter()
                .filter(|plug| picture.cables[**plug].wire == *wire)
                .map(|plug| (*plug, vertex_of[picture.cables[*plug].pod]))
                .collect();
            let vertex = vertex_of[*wire];
            layered.wire(vertex, &ends);
            let count = |end: fn(&Segment) -> usize| layered.segments.iter().filter(|it| end(it) == vertex).count();
            let ends = count(|segment| segment.upper).max(count(|segment| segment.lower));
            layered.vertices[vertex].across = layered.vertices[vertex].across.max(least_length(ends));
        }
        layered
    }

    fn vertex(&mut self, node: Option<usize>, rank: usize, (across, along): (f64, f64)) -> usize {
        self.vertices.push(Vertex { node, rank, across, along });
        self.ranks[rank].push(self.vertices.len() - 1);
        self.vertices.len() - 1
    }

    /// Leads the cables of a wire to its pods: those on one side share what they pass.
    fn wire(&mut self, wire: usize, ends: &[(usize, usize)]) {
        let start = self.vertices[wire].rank;
        let rank = |layered: &Self, pod: usize| layered.vertices[pod].rank;
        let (top, bottom) = ends.iter().fold((start, start), |(top, bottom), (_, pod)| {
            let rank = rank(self, *pod);
            (top.min(rank), bottom.max(rank))
        });
        let down: Vec<_> = (start + 1..=bottom).collect();
        let up: Vec<_> = (top..start).rev().collect();
        for way in [down, up] {
            let mut from = wire;
            for at in &way {
                let join = |layered: &mut Self, to: usize, plug: Option<usize>| {
                    let (upper, lower) = if *at > start { (from, to) } else { (to, from) };
                    layered.segments.push(Segment { upper, lower, plug });
                };
                for (plug, pod) in ends {
                    if rank(self, *pod) == *at {
                        join(self, *pod, Some(*plug));
                    }
                }
                if way.last() != Some(at) {
                    let passage = self.vertex(None, *at, (PASSAGE, 0.0));
                    // In the middle at first: what it leads to then stands below what it passes.
                    let (last, middle) = (self.ranks[*at].len() - 1, self.ranks[*at].len() / 2);
                    self.ranks[*at][middle..=last].rotate_right(1);
                    join(self, passage, None);
                    from = passage;
                }
            }
        }
    }
}
