//! Ranks: which boxes stand in one row. Cables run only between neighbouring ranks, so none crosses a box.
//!
//! Pods and wires are the two sides of a bipartite graph: in the breadth-first order from any box each cable goes from one
//! level to the next. A level that is too long is folded into several ranks; what has to pass a rank gets a place of its
//! own there, a vertex without a node, one for each wire.

use std::collections::BTreeMap;

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

/// Nodes that hang together, and their cables.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) nodes: Vec<usize>,
    pub(super) plugs: Vec<usize>,
}

/// All components by their first node.
pub(super) fn components(picture: &Picture, neighbours: &[Vec<usize>]) -> Vec<Component> {
    let mut found: Vec<Component> = Vec::new();
    let mut component_of = vec![usize::MAX; picture.nodes.len()];
    for start in 0..picture.nodes.len() {
        if component_of[start] != usize::MAX {
            continue;
        }
        let mut nodes: Vec<_> = levels(neighbours, start).into_iter().flatten().collect();
        for node in &nodes {
            component_of[*node] = found.len();
        }
        nodes.sort_unstable();
        found.push(Component { nodes, plugs: Vec::new() });
    }
    for (index, plug) in picture.cables.iter().enumerate() {
        found[component_of[plug.pod]].plugs.push(index);
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
    /// Stands the levels in ranks of about `longest` pixels at most. `plugs`: the cables of the component.
    pub(super) fn new(
        picture: &Picture,
        sizes: &Sizes,
        plugs: &[usize],
        levels: &[Vec<usize>],
        way: Way,
        longest: f64,
    ) -> Self {
        let level_of: BTreeMap<usize, usize> =
            levels.iter().enumerate().flat_map(|(level, nodes)| nodes.iter().map(move |node| (*node, level))).collect();
        let mut sides: BTreeMap<usize, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        let mut cables_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for plug in plugs {
            let (pod, wire) = (picture.cables[*plug].pod, picture.cables[*plug].wire);
            let (upper, lower) = if level_of[&pod] < level_of[&wire] { (pod, wire) } else { (wire, pod) };
            sides.entry(upper).or_default().1.push(*plug);
            sides.entry(lower).or_default().0.push(*plug);
            cables_of.entry(wire).or_default().push(*plug);
        }
        let nowhere = (Vec::new(), Vec::new());
        let mut layered = Self { vertices: Vec::new(), segments: Vec::new(), ranks: Vec::new() };
        let mut vertex_of: BTreeMap<usize, usize> = BTreeMap::new();
        for nodes in levels {
            let measured: Vec<_> = nodes
                .iter()
                .map(|node| {
                    let (before, after) = sides.get(node).unwrap_or(&nowhere);
                    (*node, sizes.node(picture, *node, before, after, way))
                })
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
                let vertex = layered.vertex(Some(node), layered.ranks.len() - 1, (across, along));
                vertex_of.insert(node, vertex);
            }
        }
        for (wire, cables) in &cables_of {
            let ends: Vec<_> = cables.iter().map(|plug| (*plug, vertex_of[&picture.cables[*plug].pod])).collect();
            let (vertex, first) = (vertex_of[wire], layered.segments.len());
            layered.wire(vertex, &ends);
            let own = &layered.segments[first..];
            let count = |end: fn(&Segment) -> usize| own.iter().filter(|it| end(it) == vertex).count();
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
