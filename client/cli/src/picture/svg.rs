//! A picture as SVG 1.1. It stands alone: colours for light and dark pages, no script, no ids, nothing from elsewhere.

use std::fmt::Write;

use super::{
    Picture,
    layout::Area,
    scene::{Mark, Scene},
};

/// Colours and lines. States also have symbols and words, cables also dashes: nothing is told by colour alone.
const STYLE: &str = "\
.pw{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace}\
.pw text{fill:#1c2430}.pw .pw-title{font-size:16px;font-weight:bold}.pw .pw-name,.pw .pw-port{font-weight:bold}\
.pw .pw-middle{text-anchor:middle}\
.pw .pw-page{fill:#ffffff}.pw .pw-line{fill:none;stroke:#51607a;stroke-width:2}\
.pw .pw-no-carrier{stroke-dasharray:7 5}.pw .pw-pulled{stroke-dasharray:2 5}.pw .pw-missing{stroke-dasharray:1 4;stroke-width:1.5}\
.pw .pw-cross{stroke:#b42318;stroke-width:2.5}\
.pw .pw-box{stroke:#51607a;stroke-width:1.5;fill:#f3f5f9}.pw .pw-pod{fill:#e3ebfa;stroke:#3b5fa8}\
.pw .pw-pod.pw-pending{stroke-dasharray:4 4;fill-opacity:.5}.pw .pw-direct{stroke-dasharray:5 3}.pw .pw-device{fill:#f6ecd8;stroke:#8a6116;stroke-width:3}.pw .pw-tab{fill:#ffffff;stroke:#b9c3d6}\
.pw text.pw-ready{fill:#146c33}.pw text.pw-pending{fill:#6b5200}.pw text.pw-degraded{fill:#8f4700}.pw text.pw-failed{fill:#b42318}\
@media (prefers-color-scheme:dark){\
.pw text{fill:#e6eaf2}.pw .pw-page{fill:#12161d}.pw .pw-line{stroke:#9fb0cc}.pw .pw-cross{stroke:#ff7b6e}\
.pw .pw-box{stroke:#9fb0cc;fill:#222a36}.pw .pw-pod{fill:#1d2f52;stroke:#86a7ec}.pw .pw-device{fill:#3a2f16;stroke:#d9ad5c}\
.pw .pw-tab{fill:#12161d;stroke:#4a5a75}\
.pw text.pw-ready{fill:#5fd487}.pw text.pw-pending{fill:#e5c454}.pw text.pw-degraded{fill:#ffab66}.pw text.pw-failed{fill:#ff8b80}}";

/// The picture as a document.
pub(crate) fn svg(picture: &Picture) -> String {
    let scene = Scene::new(picture);
    let mut body = String::new();
    for mark in &scene.marks {
        let written = match mark {
            Mark::Line { line, class, downwards, hint } => {
                let [(x1, y1), (x2, y2), (x3, y3), (x4, y4)] = line.points;
                // Upright where it leaves and enters a rank.
                let (xm, ym) = (f64::midpoint(x2, x3), f64::midpoint(y2, y3));
                let (bend, back) = if *downwards { ((x2, ym), (x3, ym)) } else { ((xm, y2), (xm, y3)) };
                let path =
                    format!("M{x1} {y1}L{x2} {y2}C{} {} {} {} {x3} {y3}L{x4} {y4}", bend.0, bend.1, back.0, back.1);
                let class = format!("line {class}");
                writeln!(body, "<path class=\"{}\" d=\"{path}\">{}</path>", classes(&class), title(hint))
            }
            Mark::Cross { x, y } => {
                let (l, r, t, b) = (x - 6.0, x + 6.0, y - 6.0, y + 6.0);
                writeln!(body, "<path class=\"pw-cross\" d=\"M{l} {t}L{r} {b}M{r} {t}L{l} {b}\"/>")
            }
            Mark::Box { area, class, radius, hint } => {
                let Area { x, y, width, height } = area;
                writeln!(
                    body,
                    "<rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\">{}</rect>",
                    classes(class),
                    title(hint)
                )
            }
            Mark::Text { x, y, class, centred, text } => {
                let middle = if *centred { " pw-middle" } else { "" };
                writeln!(
                    body,
                    "<text class=\"{}{middle}\" x=\"{x}\" y=\"{y}\">{}</text>",
                    classes(class),
                    escaped(text)
                )
            }
        };
        // A string takes everything.
        debug_assert!(written.is_ok());
    }
    let (width, height) = (scene.width, scene.height);
    let name = escaped(&picture.title);
    let said = escaped(&format!("{}. {}", picture.subtitle, description(picture)));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pw\" role=\"img\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<title>topology {name}</title>\n<desc>{said}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"pw-page\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

/// The picture in words, for those who do not see it.
fn description(picture: &Picture) -> String {
    let wires = picture.nodes.iter().enumerate().filter_map(|(index, node)| {
        let plugged: Vec<_> = picture
            .cables
            .iter()
            .filter(|plug| plug.wire == index)
            .map(|plug| format!("{}/{}", picture.nodes[plug.pod].name, plug.name))
            .collect();
        let is_wire = node.kind != super::Kind::Pod;
        is_wire.then(|| format!("{} {}: {}.", node.kind.word(), node.name, plugged.join(", ")))
    });
    wires.collect::<Vec<_>>().join(" ")
}

/// Names of our own style sheet: a page may have others.
fn classes(words: &str) -> String {
    words.split(' ').map(|word| format!("pw-{word}")).collect::<Vec<_>>().join(" ")
}

/// What is shown to who points at something.
fn title(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(hint)) }
}

/// Text as character data and in attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}
