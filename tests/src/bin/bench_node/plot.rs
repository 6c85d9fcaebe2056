//! The plot: what it takes to make so many topologies, by logarithms of both.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// One line of it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) colour: &'static str,
    /// Topologies, milliseconds.
    pub(crate) points: Vec<(f64, f64)>,
}

/// As SVG.
pub(crate) fn svg(lines: &[Line], machine: &str) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (right, low, high) = points()
        .fold((10.0_f64, f64::MAX, 0.0_f64), |(right, low, high), (x, y)| (right.max(*x), low.min(*y), high.max(*y)));
    let (low, high) = (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0));
    let x = |value: f64| LEFT + value.log10() / right.log10() * (WIDTH - LEFT - RIGHT);
    let y = |power: f64| HEIGHT - BOTTOM - (power - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">Time to make topologies of 3 bridges and 6 interfaces</text>\n\
         <text x=\"{LEFT}\" y=\"{}\" font-size=\"10\" fill=\"#666\">{machine}</text>\n",
        HEIGHT - 6.0,
    );
    let mut power = low;
    while power <= high {
        let (at, value) = (y(power), 10_f64.powf(power));
        let label = if value >= 1000.0 { format!("{} s", value / 1000.0) } else { format!("{value} ms") };
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
        power += 1.0;
    }
    for line in lines {
        let path: Vec<String> =
            line.points.iter().map(|(n, ms)| format!("{:.1},{:.1}", x(*n), y(ms.log10()))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            path.join(" "),
            line.colour
        );
        if let Some((n, ms)) = line.points.last() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\">{}</text>",
                x(*n) + 8.0,
                y(ms.log10()) + 4.0,
                line.colour,
                line.name
            );
        }
    }
    for (n, _) in lines.first().map(|line| line.points.as_slice()).unwrap_or_default() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{n}</text>",
            x(*n),
            HEIGHT - BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">topologies at once</text>\n</svg>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - BOTTOM + 34.0
    );
    svg
}
