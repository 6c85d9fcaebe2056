//! A layout as lines, boxes and texts on a sheet, with a heading and what the signs mean.

use super::{
    Kind, Picture,
    card::{COLUMN, LINE_HEIGHT, PADDING, float},
    layout::{Area, Line, layout},
    sign::{Cable, Sign},
};
use crate::words::columns;

/// Around everything.
const MARGIN: f64 = 20.0;
/// Height of the heading.
const HEADING: f64 = 44.0;
/// Height of the line below that says what the signs mean.
const LEGEND: f64 = 34.0;
/// Length of a cable in it.
const SAMPLE: f64 = 28.0;

/// What lies on the sheet, in the order in which it is drawn.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) marks: Vec<Mark>,
}

/// One thing on the sheet.
#[derive(Debug)]
pub(super) enum Mark {
    /// A cable.
    Line { line: Line, class: &'static str, downwards: bool, hint: String },
    /// A cross on a cable that is pulled.
    Cross { x: f64, y: f64 },
    /// A box with round corners.
    Box { area: Area, class: String, radius: f64, hint: String },
    /// A line of text that begins at `x`, or has its middle there; `y` is its base line.
    Text { x: f64, y: f64, class: String, centred: bool, text: String },
}

impl Mark {
    /// The room that a text takes.
    #[cfg(test)]
    pub(super) fn text_area(&self) -> Option<Area> {
        let Self::Text { x, y, centred, text, class } = self else { return None };
        // The heading's letters are larger.
        let column = if class.contains("title") { COLUMN * 16.0 / 12.0 } else { COLUMN };
        let width = float(columns(text)) * column;
        let x = if *centred { x - width / 2.0 } else { *x };
        Some(Area { x, y: y - 11.0, width, height: 14.0 })
    }
}

impl Scene {
    /// Draws a picture.
    pub(super) fn new(picture: &Picture) -> Self {
        let layout = layout(picture);
        let mut scene = Self { width: 0.0, height: 0.0, marks: Vec::new() };
        scene.text((MARGIN, MARGIN + 14.0), "title", false, picture.title.clone());
        let subtitle = format!("{} {}", picture.sign.symbol(), picture.subtitle).trim().to_owned();
        let class = format!("small {}", picture.sign.class());
        scene.text((MARGIN, MARGIN + 14.0 + LINE_HEIGHT + 4.0), &class, false, subtitle);
        let (right, top) = (MARGIN, MARGIN + HEADING + 8.0);
        let moved = |area: Area| Area { x: area.x + right, y: area.y + top, ..area };
        for line in &layout.lines {
            let points = line.points.map(|(x, y)| (x + right, y + top));
            let (class, hint) = match line.plug.map(|plug| &picture.cables[plug]) {
                Some(plug) => (plug.cable.class(), plug.hint.clone()),
                None => (Cable::Carrier.class(), String::new()),
            };
            let line = Line { points, ..*line };
            scene.marks.push(Mark::Line { line, class, downwards: layout.downwards, hint });
            if class == Cable::Pulled.class() {
                // The middle of the curve: the mean of its four control points, which lie in pairs at its ends.
                let (x, y) = (f64::midpoint(points[1].0, points[2].0), f64::midpoint(points[1].1, points[2].1));
                scene.marks.push(Mark::Cross { x, y });
            }
        }
        for placed in &layout.nodes {
            let node = &picture.nodes[placed.node];
            let radius = if node.kind == Kind::Pod { 6.0 } else { (placed.area.height / 2.0).min(16.0) };
            let class = format!("box {} {}", class_of(node.kind), node.sign.class());
            scene.marks.push(Mark::Box { area: moved(placed.area), class, radius, hint: node.hint.clone() });
            let sign = if node.kind == Kind::Pod { Sign::Unknown } else { node.sign };
            scene.lines(moved(placed.head), &node.lines(), "name", sign);
        }
        for (plug, area) in &layout.tabs {
            let plug = &picture.cables[*plug];
            let class = format!("tab {}", plug.sign.class());
            let inner = moved(*area);
            scene.marks.push(Mark::Box { area: shrunk(inner), class, radius: 4.0, hint: plug.hint.clone() });
            scene.lines(inner, &plug.lines(), "port", plug.sign);
        }
        let legend = scene.legend(picture, top + layout.size.1 + LEGEND);
        let heading = float(columns(&picture.title)) * COLUMN * 16.0 / 12.0;
        let subtitle = float(columns(&picture.subtitle) + 2) * COLUMN;
        scene.width = (layout.size.0.max(legend).max(heading).max(subtitle) + 2.0 * MARGIN).ceil();
        scene.height = (top + layout.size.1 + LEGEND + MARGIN).ceil();
        scene
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, centred: bool, text: String) {
        if !text.is_empty() {
            self.marks.push(Mark::Text { x, y, class: class.to_owned(), centred, text });
        }
    }

    /// Lines in the middle of an area; the first is the name, and those that name its state have its colour.
    fn lines(&mut self, area: Area, lines: &[String], first: &str, sign: Sign) {
        let x = area.x + area.width / 2.0;
        let mut y = area.y + area.height / 2.0 - float(lines.len()) * LINE_HEIGHT / 2.0 + 11.5;
        for (index, line) in lines.iter().enumerate() {
            let stated = sign != Sign::Unknown && line.contains(sign.word());
            let class = match index {
                0 => format!("{first} {}", sign.class()),
                _ if stated => format!("small {}", sign.class()),
                _ => "small".to_owned(),
            };
            self.text((x, y), &class, true, line.clone());
            y += LINE_HEIGHT;
        }
    }

    /// Says what the signs mean that are used; returns how wide that is.
    fn legend(&mut self, picture: &Picture, y: f64) -> f64 {
        let mut x = MARGIN;
        for sign in Sign::SAID {
            let used = picture.cables.iter().map(|plug| plug.sign).chain(picture.nodes.iter().map(|node| node.sign));
            if used.into_iter().any(|each| each == sign) {
                let text = format!("{} {}", sign.symbol(), sign.word());
                let width = (float(columns(&text)) * COLUMN).ceil();
                self.text((x, y), &format!("small {}", sign.class()), false, text);
                x += width + 2.0 * PADDING;
            }
        }
        let said = [
            (Cable::Carrier, "carrier"),
            (Cable::NoCarrier, "no carrier"),
            (Cable::Pulled, "cable pulled"),
            (Cable::Missing, "not plugged"),
        ];
        for (cable, word) in said {
            if !picture.cables.iter().any(|plug| plug.cable == cable) {
                continue;
            }
            let at = y - 4.0;
            let points = [(x, at), (x, at), (x + SAMPLE, at), (x + SAMPLE, at)];
            let line = Line { plug: None, points };
            self.marks.push(Mark::Line { line, class: cable.class(), downwards: false, hint: String::new() });
            if cable == Cable::Pulled {
                self.marks.push(Mark::Cross { x: x + SAMPLE / 2.0, y: at });
            }
            x += SAMPLE + PADDING;
            self.text((x, y), "small", false, word.to_owned());
            x += (float(columns(word)) * COLUMN).ceil() + 2.0 * PADDING;
        }
        x - MARGIN
    }
}

/// The name of a kind in style sheets.
fn class_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Pod => "pod",
        Kind::Bridge => "bridge",
        Kind::Stitched => "link",
        Kind::Direct => "direct",
        Kind::Device => "device",
    }
}

fn shrunk(area: Area) -> Area {
    Area { x: area.x + 2.0, y: area.y + 2.0, width: area.width - 4.0, height: area.height - 4.0 }
}
