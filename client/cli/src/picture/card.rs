//! How large a box is, and where on it cables end.

use super::{Kind, Node, Picture, Plug};
use crate::words::columns;

/// Width of a column of text, in pixels: monospaced fonts have at most 0.61 of their size, which is 12.
pub(super) const COLUMN: f64 = 7.4;
/// From one line of text to the next.
pub(super) const LINE_HEIGHT: f64 = 15.0;
/// Between a text and the border of its box.
pub(super) const PADDING: f64 = 8.0;
/// Between the labels of two interfaces of a pod.
const APART: f64 = 6.0;
/// Between the ends of two cables at a wire, at most and at least.
const ENDS: (f64, f64) = (22.0, 9.0);

/// Where ranks go: each below the one before it, or to the right of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Down,
    Right,
}

/// Width and height.
pub(super) type Size = (f64, f64);

impl Way {
    /// A size as (across the ranks, along them), and back.
    pub(super) fn turned(self, (width, height): Size) -> Size {
        match self {
            Self::Down => (width, height),
            Self::Right => (height, width),
        }
    }
}

/// A number of things as a length.
pub(super) fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The size of lines of text with the padding around them.
pub(super) fn text_size(lines: &[String]) -> Size {
    let widest = lines.iter().map(|line| columns(line)).max().unwrap_or(0);
    (float(widest) * COLUMN + 2.0 * PADDING, float(lines.len()) * LINE_HEIGHT + PADDING)
}

/// All sizes that do not depend on where a box is.
#[derive(Debug)]
pub(super) struct Sizes {
    /// Of the text of each node.
    pub(super) heads: Vec<Size>,
    /// Of the label of each interface.
    pub(super) tabs: Vec<Size>,
}

impl Sizes {
    /// Those of everything that is written.
    pub(super) fn of(picture: &Picture) -> Self {
        Self::measured(picture, Node::lines, Plug::lines)
    }

    /// Those of what is written whatever the states are.
    pub(super) fn steady(picture: &Picture) -> Self {
        Self::measured(picture, Node::steady_lines, Plug::steady_lines)
    }

    fn measured(picture: &Picture, of: fn(&Node) -> Vec<String>, at: fn(&Plug) -> Vec<String>) -> Self {
        let heads = picture.nodes.iter().map(|node| {
            let (width, height) = text_size(&of(node));
            // The ends of a wire are round.
            if node.kind == Kind::Pod { (width + 8.0, height + 6.0) } else { (width + 16.0, height) }
        });
        Self { heads: heads.collect(), tabs: picture.cables.iter().map(|plug| text_size(&at(plug))).collect() }
    }

    /// The size of a node whose cables end before and after it, as (across, along).
    pub(super) fn node(&self, picture: &Picture, node: usize, before: &[usize], after: &[usize], way: Way) -> Size {
        let (across, along) = way.turned(self.heads[node]);
        if picture.nodes[node].kind != Kind::Pod {
            return (across, along);
        }
        let side = |plugs: &[usize]| {
            let sizes: Vec<_> = plugs.iter().map(|plug| way.turned(self.tabs[*plug])).collect();
            let across: f64 = sizes.iter().map(|(across, _)| across + APART).sum();
            let along = sizes.iter().map(|(_, along)| *along).fold(0.0, f64::max);
            (across + APART, along)
        };
        let (before, after) = (side(before), side(after));
        (across.max(before.0).max(after.0), along + before.1 + after.1)
    }

    /// Where the labels of a pod's side have their middles, from the middle of the pod.
    pub(super) fn tab_middles(&self, plugs: &[usize], way: Way) -> Vec<f64> {
        let lengths: Vec<_> = plugs.iter().map(|plug| way.turned(self.tabs[*plug]).0).collect();
        let whole = lengths.iter().map(|length| length + APART).sum::<f64>() - APART;
        let mut at = -whole / 2.0;
        let middle = |length: &f64| {
            let middle = at + length / 2.0;
            at += length + APART;
            middle
        };
        lengths.iter().map(middle).collect()
    }
}

/// The least length of a wire at which so many cables end.
pub(super) fn least_length(count: usize) -> f64 {
    float(count + 1) * ENDS.1
}

/// Where `count` cables end at a wire that is so long, from its middle.
pub(super) fn ends(count: usize, length: f64) -> Vec<f64> {
    let apart = ENDS.0.min(length / float(count + 1));
    (0..count).map(|index| (float(index) - float(count.saturating_sub(1)) / 2.0) * apart).collect()
}
