//! A picture as a graph for Graphviz. <https://graphviz.org/doc/info/lang.html>

use super::{
    Kind, Picture,
    sign::{Cable, Sign},
};

/// The picture as text.
pub(crate) fn dot(picture: &Picture) -> String {
    let heading = [picture.title.clone(), picture.subtitle.clone()];
    let mut lines = vec![
        format!("graph \"{}\" {{", escaped(&picture.title)),
        format!("  graph [label=\"{}\", labelloc=t, overlap=false, rankdir=LR, fontname=monospace]", label(&heading)),
        "  node [fontname=monospace, fontsize=11]".to_owned(),
        "  edge [fontname=monospace, fontsize=10]".to_owned(),
    ];
    for (index, node) in picture.nodes.iter().enumerate() {
        let shape = match node.kind {
            Kind::Pod => "box",
            Kind::Bridge => "box, peripheries=2",
            Kind::Stitched => "ellipse",
            Kind::Direct => "ellipse, style=dashed",
            Kind::Device => "hexagon",
        };
        let colour = colour(node.sign);
        lines.push(format!("  n{index} [shape={shape}, label=\"{}\"{colour}]", label(&node.lines())));
    }
    for plug in &picture.cables {
        let style = match plug.cable {
            Cable::Carrier => "solid",
            Cable::NoCarrier => "dashed",
            Cable::Pulled | Cable::Missing => "dotted",
        };
        let (label, colour) = (label(&plug.lines()), colour(plug.sign));
        lines.push(format!("  n{} -- n{} [label=\"{label}\", style={style}{colour}]", plug.pod, plug.wire));
    }
    lines.push("}".to_owned());
    lines.join("\n") + "\n"
}

fn colour(sign: Sign) -> &'static str {
    match sign {
        Sign::Unknown | Sign::Ready => "",
        Sign::Pending => ", color=\"#a07a00\"",
        Sign::Degraded => ", color=\"#c05e00\"",
        Sign::Failed => ", color=\"#b42318\"",
    }
}

fn label(lines: &[String]) -> String {
    let lines = lines.iter().filter(|line| !line.is_empty());
    lines.map(|line| escaped(line)).collect::<Vec<_>>().join("\\n")
}

/// Within quotes: Graphviz reads escapes such as `\N`, and character references.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}
