//! From boxes and cables to coordinates: each component by itself, in the best of several ways, then side by side.

use super::{
    Kind, Picture,
    card::{Size, Sizes, Way, float},
    layers::{Component, Layered, components, levels, neighbours},
    order::order,
    place::{Places, place},
};

/// How long a rank may be, in pixels, from narrow pages to wide ones.
const LONGEST: [f64; 3] = [760.0, 1240.0, 1900.0];
/// Width to height that a page likes, and how many times more or less it does not mind.
const ASPECT: (f64, f64) = (1.8, 2.5);
/// The width of a page.
const PAGE: f64 = 1300.0;
/// Components stand side by side up to this width at least.
const NARROWEST: f64 = 900.0;
/// From how many boxes a component of up to so many cables is laid out, at most.
const ROOTS: [(usize, usize); 3] = [(80, 24), (240, 6), (usize::MAX, 1)];
/// What a crossing costs, where a large picture costs some hundreds.
const CROSSING: f64 = 40.0;
/// Between two components.
const COMPONENTS: f64 = 40.0;
/// Between two ranks: at least, at most, and for each pixel that a cable goes sideways.
const GAP: (f64, f64, f64) = (46.0, 150.0, 0.12);

/// Left, top, width, height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A box with its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    pub(super) node: usize,
    pub(super) area: Area,
    /// The part that its own text takes, between the labels of its interfaces.
    pub(super) head: Area,
}

/// A cable or a part of one: from a box along its rank, through the gap, to another box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// The interface at its end.
    pub(super) plug: Option<usize>,
    /// From, where it leaves the rank, where it enters the next, to.
    pub(super) points: [(f64, f64); 4],
}

/// Everything with its place.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Placed>,
    /// Labels of interfaces.
    pub(super) tabs: Vec<(usize, Area)>,
    pub(super) lines: Vec<Line>,
    pub(super) size: Size,
    /// Where ranks go.
    pub(super) downwards: bool,
}

/// Lays a picture out. The same picture always comes out the same, and states do not decide where what stands: who looks again
/// finds it where it was.
pub(super) fn layout(picture: &Picture) -> Layout {
    let (steady, sizes) = (Sizes::steady(picture), Sizes::of(picture));
    let neighbours = neighbours(picture);
    let parts = components(picture, &neighbours);
    let mut best: Option<(f64, Way, f64, Vec<usize>)> = None;
    for way in [Way::Right, Way::Down] {
        for longest in LONGEST {
            let frame = Frame { picture, sizes: &steady, neighbours: &neighbours, way, longest };
            let chosen: Vec<_> = parts.iter().map(|part| frame.root(part)).collect();
            let tangle: f64 = chosen.iter().map(|choice| choice.tangle).sum();
            let roots = chosen.iter().map(|choice| choice.root).collect();
            let cost = tangle + shape(packed(chosen.into_iter().map(|choice| choice.layout), longest, way).size);
            if best.as_ref().is_none_or(|(least, ..)| cost + 0.5 < *least) {
                best = Some((cost, way, longest, roots));
            }
        }
    }
    let Some((_, way, longest, roots)) = best else { return Layout::default() };
    let frame = Frame { picture, sizes: &sizes, neighbours: &neighbours, way, longest };
    let laid = parts.iter().zip(roots).map(|(part, root)| frame.from(part, root).1);
    packed(laid, longest, way)
}

/// What a size costs: large pictures, those that are wider than a page, and those that are much longer than wide or the
/// reverse.
fn shape((width, height): Size) -> f64 {
    let (width, height) = (width.max(1.0), height.max(1.0));
    let odd = ((width / height / ASPECT.0).ln().abs() - ASPECT.1.ln()).max(0.0);
    let side = (width * height).sqrt();
    // A small picture may have any shape.
    let large = ((side - 300.0) / 400.0).clamp(0.0, 1.0);
    side / 4.0 + 120.0 * odd * large + 400.0 * (width / PAGE).ln().max(0.0)
}

/// What cables cost that do not run straight.
fn crooked(layout: &Layout) -> f64 {
    let sideways = |line: &Line| {
        let [_, (x1, y1), (x2, y2), _] = line.points;
        if layout.downwards { (x1 - x2).abs() } else { (y1 - y2).abs() }
    };
    layout.lines.iter().map(sideways).sum::<f64>() / 20.0
}

/// What components are laid out in.
#[derive(Clone, Copy)]
struct Frame<'a> {
    picture: &'a Picture,
    sizes: &'a Sizes,
    neighbours: &'a [Vec<usize>],
    way: Way,
    longest: f64,
}

/// The best that a component can be in a frame.
#[derive(Default)]
struct Choice {
    /// The box in its first rank.
    root: usize,
    /// What its cables cost.
    tangle: f64,
    layout: Layout,
}

impl Frame<'_> {
    /// Chooses where the layout of a component begins.
    fn root(&self, part: &Component) -> Choice {
        let cables = part.plugs.len();
        // From those with many cables first, then as they were named.
        let mut roots = part.nodes.clone();
        roots.sort_by_key(|node| std::cmp::Reverse(self.neighbours[*node].len()));
        roots.truncate(ROOTS.iter().find(|(most, _)| cables <= *most).map_or(1, |(_, roots)| *roots));
        // And from the first one named, with which a chain begins.
        roots.extend(part.nodes.first());
        let mut best: Option<(f64, Choice)> = None;
        for root in roots {
            let (tangle, layout) = self.from(part, root);
            let cost = tangle + shape(layout.size);
            if best.as_ref().is_none_or(|(least, _)| cost + 0.5 < *least) {
                best = Some((cost, Choice { root, tangle, layout }));
            }
        }
        best.map(|(_, choice)| choice).unwrap_or_default()
    }

    /// A component whose ranks begin with a box, and what its cables cost.
    fn from(&self, part: &Component, root: usize) -> (f64, Layout) {
        let Self { picture, sizes, neighbours, way, longest } = *self;
        let levels = levels(neighbours, root);
        let mut layered = Layered::new(picture, sizes, &part.plugs, &levels, way, longest);
        let crossings = CROSSING * float(order(&mut layered));
        let places = place(picture, sizes, &layered, way);
        let drawn = drawn(picture, sizes, &layered, &places, way);
        (crossings + crooked(&drawn), drawn)
    }
}

/// Coordinates of a placed component, from (0, 0).
fn drawn(picture: &Picture, sizes: &Sizes, layered: &Layered, places: &Places, way: Way) -> Layout {
    let edge = |vertex: usize| places.middles[vertex] - layered.vertices[vertex].across / 2.0;
    let first = (0..layered.vertices.len()).map(edge).fold(f64::MAX, f64::min);
    let end = |segment: usize| {
        let (it, port) = (layered.segments[segment], places.ports[segment]);
        (places.middles[it.upper] + port.0 - first, places.middles[it.lower] + port.1 - first)
    };
    let thick: Vec<f64> = layered
        .ranks
        .iter()
        .map(|rank| rank.iter().map(|vertex| layered.vertices[*vertex].along).fold(0.0, f64::max))
        .collect();
    let mut gaps = vec![GAP.0; layered.ranks.len()];
    for (index, segment) in layered.segments.iter().enumerate() {
        let (upper, lower) = end(index);
        let gap = &mut gaps[layered.vertices[segment.upper].rank];
        *gap = gap.max(((upper - lower).abs() * GAP.2).min(GAP.1));
    }
    let mut begins = vec![0.0];
    for rank in 1..layered.ranks.len() {
        begins.push(begins[rank - 1] + thick[rank - 1] + gaps[rank - 1]);
    }
    let flat = |(across, along): (f64, f64)| match way {
        Way::Down => (across.round(), along.round()),
        Way::Right => (along.round(), across.round()),
    };
    let area = |middle: f64, along: f64, size: (f64, f64)| {
        let ((x, y), (width, height)) = (flat((middle - size.0 / 2.0, along)), flat(size));
        Area { x, y, width, height }
    };
    let mut layout = Layout { downwards: way == Way::Down, ..Layout::default() };
    // Where a box begins: in the middle of its rank.
    let top = |vertex: usize| {
        let it = &layered.vertices[vertex];
        begins[it.rank] + (thick[it.rank] - it.along) / 2.0
    };
    let reach = labels(picture, sizes, layered, way);
    for (index, vertex) in layered.vertices.iter().enumerate() {
        let Some(node) = vertex.node else { continue };
        let middle = places.middles[index] - first;
        let (before, after) = reach[index];
        let head = (vertex.across, vertex.along - before - after);
        layout.nodes.push(Placed {
            node,
            area: area(middle, top(index), (vertex.across, vertex.along)),
            head: area(middle, top(index) + before, head),
        });
    }
    for (index, segment) in layered.segments.iter().enumerate() {
        let (upper, lower) = (&layered.vertices[segment.upper], &layered.vertices[segment.lower]);
        let (from, to) = end(index);
        // A passage has no box: its cable goes on through the rank.
        let leaves = if upper.node.is_some() { top(segment.upper) + upper.along } else { begins[upper.rank] };
        let enters = top(segment.lower) + if lower.node.is_some() { 0.0 } else { lower.along };
        let (out, back) = (begins[upper.rank] + thick[upper.rank], begins[lower.rank]);
        let enters = if lower.node.is_some() { enters } else { back };
        let points = [(from, leaves), (from, out), (to, back), (to, enters)].map(flat);
        layout.lines.push(Line { plug: segment.plug, points });
        let Some(plug) = segment.plug else { continue };
        let size = way.turned(sizes.tabs[plug]);
        let is_pod = |node: Option<usize>| node.is_some_and(|node| picture.nodes[node].kind == Kind::Pod);
        let (middle, along) = if is_pod(upper.node) { (from, leaves - size.1) } else { (to, enters) };
        layout.tabs.push((plug, area(middle, along, size)));
    }
    let across = (0..layered.vertices.len()).map(|vertex| edge(vertex) + layered.vertices[vertex].across - first);
    let along = begins.last().zip(thick.last()).map_or(0.0, |(begin, thick)| begin + thick);
    layout.size = flat((across.fold(0.0, f64::max).ceil(), along.ceil()));
    layout
}

/// How far the labels of interfaces reach into each vertex, from its beginning and from its end.
fn labels(picture: &Picture, sizes: &Sizes, layered: &Layered, way: Way) -> Vec<(f64, f64)> {
    let mut reach = vec![(0.0_f64, 0.0_f64); layered.vertices.len()];
    let is_pod =
        |vertex: usize| layered.vertices[vertex].node.is_some_and(|node| picture.nodes[node].kind == Kind::Pod);
    for segment in &layered.segments {
        let Some(plug) = segment.plug else { continue };
        let along = way.turned(sizes.tabs[plug]).1;
        if is_pod(segment.lower) {
            reach[segment.lower].0 = reach[segment.lower].0.max(along);
        } else if is_pod(segment.upper) {
            reach[segment.upper].1 = reach[segment.upper].1.max(along);
        }
    }
    reach
}

/// Components beside each other, in rows that are about as wide as a page.
fn packed(parts: impl Iterator<Item = Layout>, longest: f64, way: Way) -> Layout {
    let page = longest.max(NARROWEST);
    let mut whole = Layout { downwards: way == Way::Down, ..Layout::default() };
    let (mut x, mut y, mut row) = (0.0_f64, 0.0_f64, 0.0_f64);
    for part in parts {
        if x > 0.0 && x + part.size.0 > page {
            (x, y, row) = (0.0, y + row + COMPONENTS, 0.0);
        }
        let moved = |area: Area| Area { x: area.x + x, y: area.y + y, ..area };
        let placed = |it: Placed| Placed { area: moved(it.area), head: moved(it.head), ..it };
        whole.nodes.extend(part.nodes.into_iter().map(placed));
        whole.tabs.extend(part.tabs.into_iter().map(|(plug, area)| (plug, moved(area))));
        let line = |line: Line| Line { points: line.points.map(|(px, py)| (px + x, py + y)), ..line };
        whole.lines.extend(part.lines.into_iter().map(line));
        whole.size = (whole.size.0.max(x + part.size.0), whole.size.1.max(y + part.size.1));
        row = row.max(part.size.1);
        x += part.size.0 + COMPONENTS;
    }
    whole
}
