//! A picture as a Mermaid flowchart. <https://mermaid.js.org/syntax/flowchart.html>

use super::{
    Kind, Picture,
    sign::{Cable, Sign},
};

/// The picture as text.
pub(crate) fn mermaid(picture: &Picture) -> String {
    let subtitle = if picture.subtitle.is_empty() { String::new() } else { format!("{}: ", picture.subtitle) };
    let mut lines = vec![
        "flowchart LR".to_owned(),
        format!("  accTitle: topology {}", plain(&picture.title)),
        format!("  accDescr: {subtitle}pods and what they are wired to"),
    ];
    for (index, node) in picture.nodes.iter().enumerate() {
        let (open, close) = match node.kind {
            Kind::Pod => ("[", "]"),
            Kind::Bridge => ("[[", "]]"),
            Kind::Stitched | Kind::Direct => ("([", "])"),
            Kind::Device => ("{{", "}}"),
        };
        lines.push(format!("  n{index}{open}\"{}\"{close}", label(&node.lines())));
    }
    for plug in &picture.cables {
        let wire = match plug.cable {
            Cable::Carrier => "---",
            Cable::NoCarrier | Cable::Missing => "-.-",
            Cable::Pulled => "--x",
        };
        lines.push(format!("  n{} {wire}|\"{}\"| n{}", plug.pod, label(&plug.lines()), plug.wire));
    }
    for sign in [Sign::Pending, Sign::Degraded, Sign::Failed] {
        let of_sign = |sign| (0..picture.nodes.len()).filter(move |node| picture.nodes[*node].sign == sign);
        let names: Vec<_> = of_sign(sign).map(|node| format!("n{node}")).collect();
        if !names.is_empty() {
            let (colour, dashes) = match sign {
                Sign::Failed => ("#b42318", ""),
                Sign::Degraded => ("#c05e00", ""),
                _ => ("#a07a00", ",stroke-dasharray:4 3"),
            };
            lines.push(format!("  classDef {} stroke:{colour},stroke-width:3px{dashes}", sign.class()));
            lines.push(format!("  class {} {}", names.join(","), sign.class()));
        }
    }
    lines.join("\n") + "\n"
}

fn label(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>")
}

/// Within quotes everything that Mermaid, Markdown or HTML might read is written as a number.
fn escaped(text: &str) -> String {
    let harmless =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | ':' | '/' | '-' | '●' | '○' | '▲' | '✕' | '…');
    let write = |c: char| if harmless(c) { c.to_string() } else { format!("#{};", u32::from(c)) };
    text.chars().map(write).collect()
}

/// Where there are no quotes, what is not harmless is left out.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || matches!(c, '.' | '/' | '-') { c } else { '_' }).collect()
}
