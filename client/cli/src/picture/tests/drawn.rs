//! What lies where on the sheet.

use podwire_proto::v1;
use proptest::{prelude::*, test_runner::Config};

use super::{Picture, everything, link, many, nic, plug, ring, topology, triangle};
use crate::picture::{
    layout::{Area, Layout, Line, layout},
    scene::Scene,
};

fn overlap(a: &Area, b: &Area) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

fn inside(inner: &Area, outer: &Area) -> bool {
    // Coordinates are whole pixels: a middle may be half a pixel off.
    let slack = 1.0;
    inner.x >= outer.x - slack
        && inner.y >= outer.y - slack
        && inner.x + inner.width <= outer.x + outer.width + slack
        && inner.y + inner.height <= outer.y + outer.height + slack
}

/// Points on a cable, close to each other.
fn points(line: &Line, downwards: bool) -> Vec<(f64, f64)> {
    let [from, out, back, to] = line.points;
    let (xm, ym) = (f64::midpoint(out.0, back.0), f64::midpoint(out.1, back.1));
    let (c1, c2) = if downwards { ((out.0, ym), (back.0, ym)) } else { ((xm, out.1), (xm, back.1)) };
    let between = |a: (f64, f64), b: (f64, f64), t: f64| (a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t);
    let mut points = Vec::new();
    for step in 0..=32 {
        let t = f64::from(step) / 32.0;
        points.push(between(from, out, t));
        points.push(between(back, to, t));
        let u = 1.0 - t;
        let cube = |a, b, c, d| u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d;
        points.push((cube(out.0, c1.0, c2.0, back.0), cube(out.1, c1.1, c2.1, back.1)));
    }
    points
}

/// Fails where a text lies on another one, a box on a box, or a cable on a box.
fn check(wanted: &v1::Topology) {
    let picture = Picture::new(wanted);
    let Layout { nodes, tabs, lines, downwards, .. } = layout(&picture);
    assert_eq!(nodes.len(), picture.nodes.len(), "each box is drawn once");
    assert_eq!(tabs.len(), picture.cables.len(), "and each interface");
    assert_eq!(lines.iter().filter(|line| line.plug.is_some()).count(), picture.cables.len(), "with its cable");
    for (index, one) in nodes.iter().enumerate() {
        for other in &nodes[..index] {
            assert!(!overlap(&one.area, &other.area), "{one:?} lies on {other:?}");
        }
        assert!(inside(&one.head, &one.area), "{one:?}");
    }
    for (index, (plug, area)) in tabs.iter().enumerate() {
        let pod = nodes.iter().find(|placed| placed.node == picture.cables[*plug].pod).unwrap();
        assert!(inside(area, &pod.area), "{area:?} is not in {pod:?}");
        for (_, other) in &tabs[..index] {
            assert!(!overlap(area, other), "{area:?} lies on {other:?}");
        }
    }
    for line in &lines {
        for (x, y) in points(line, downwards) {
            let hit = nodes.iter().map(|placed| placed.area).find(|area| {
                let within = |at: f64, from: f64, length: f64| at > from + 1.0 && at < from + length - 1.0;
                within(x, area.x, area.width) && within(y, area.y, area.height)
            });
            assert!(hit.is_none(), "{line:?} crosses {hit:?}");
        }
    }
    let scene = Scene::new(&picture);
    let texts: Vec<_> = scene.marks.iter().filter_map(crate::picture::scene::Mark::text_area).collect();
    let sheet = Area { x: 0.0, y: 0.0, width: scene.width, height: scene.height };
    for (index, text) in texts.iter().enumerate() {
        assert!(inside(text, &sheet), "{text:?} of {sheet:?}");
        for other in &texts[..index] {
            assert!(!overlap(text, other), "{text:?} lies on {other:?}");
        }
    }
}

#[test]
fn no_text_box_or_cable_lies_on_another() {
    for wanted in [triangle(), everything(), many(60), ring(60), topology("empty")] {
        check(&wanted);
    }
}

#[test]
fn a_triangle_is_small_and_sixty_pods_fit_a_page() {
    let size = |wanted: &v1::Topology| {
        let scene = Scene::new(&Picture::new(wanted));
        (scene.width, scene.height)
    };
    let (width, height) = size(&triangle());
    assert!(width < 900.0 && height < 700.0, "{width} x {height}");
    let (width, height) = size(&many(60));
    assert!(width < 1600.0 && height < 1600.0, "{width} x {height}");
}

#[test]
fn the_triangle_has_no_crossing() {
    let picture = Picture::new(&triangle());
    let Layout { lines, downwards, .. } = layout(&picture);
    let runs: Vec<Vec<_>> = lines.iter().map(|line| points(line, downwards)).collect();
    for (index, one) in runs.iter().enumerate() {
        for other in &runs[..index] {
            let near = |a: &(f64, f64), b: &(f64, f64)| (a.0 - b.0).abs() < 1.0 && (a.1 - b.1).abs() < 1.0;
            assert!(!one.iter().any(|a| other.iter().any(|b| near(a, b))), "{one:?} meets {other:?}");
        }
    }
}

#[test]
fn states_do_not_move_what_is_drawn() {
    let mut changed = triangle();
    for (at, attachment) in changed.attachments.iter_mut().enumerate() {
        let status = attachment.interface.as_mut().unwrap().status.as_mut().unwrap();
        let states = [v1::State::Ready, v1::State::Degraded, v1::State::Failed];
        (status.state, status.carrier) = (states[at % 3].into(), at % 2 == 0);
    }
    let (before, after) = (layout(&Picture::new(&triangle())), layout(&Picture::new(&changed)));
    assert_eq!(before.downwards, after.downwards);
    let order = |it: &Layout| it.nodes.iter().map(|placed| placed.node).collect::<Vec<_>>();
    assert_eq!(order(&before), order(&after));
}

/// Any topology: pods by number, wired to bridges by number and to each other.
fn any_topology() -> impl Strategy<Value = v1::Topology> {
    let name = "[a-z0-9漢é.-]{1,40}";
    let plugs = prop::collection::vec((0..12_usize, 0..5_usize, name, 0..5_usize), 0..24);
    let links = prop::collection::vec((0..12_usize, 0..12_usize, prop::bool::ANY), 0..16);
    (plugs, links, name).prop_map(|(plugs, links, name)| {
        let mut wanted = topology(&name);
        wanted.bridges = (0..5).map(|at| super::bridge(&format!("lan{at}{name}"), "10.0.0.0/24")).collect();
        for (at, (pod, lan, text, addresses)) in plugs.into_iter().enumerate() {
            let addresses = vec!["2001:db8:1111:2222:3333:4444:5555:6666/64"; addresses];
            let interface = nic(&format!("pod{pod}"), &text, &addresses);
            wanted.attachments.push(plug(&format!("p{at}"), interface, &wanted.bridges[lan].name));
        }
        for (at, (a, b, pulled)) in links.into_iter().enumerate() {
            let mut wire =
                link(&format!("w{at}"), nic(&format!("pod{a}"), "a", &[]), nic(&format!("pod{b}"), "b", &[]));
            wire.up = if pulled { v1::Toggle::Off.into() } else { v1::Toggle::Unspecified.into() };
            wanted.links.push(wire);
        }
        wanted
    })
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn whatever_the_topology_nothing_lies_on_another(wanted in any_topology()) {
        check(&wanted);
    }
}

#[test]
fn the_largest_topologies_are_drawn_in_time() {
    let mut grid = topology("grid");
    let at = |x: usize, y: usize, name: &str| nic(&format!("r{x}-{y}"), name, &[]);
    for (x, y) in (0..20).flat_map(|x| (0..20).map(move |y| (x, y))) {
        grid.links.push(link(&format!("h{x}-{y}"), at(x, y, "e1"), at(x + 1, y, "e2")));
        grid.links.push(link(&format!("v{x}-{y}"), at(x, y, "e3"), at(x, y + 1, "e4")));
    }
    for wanted in [many(1000), grid] {
        let begun = std::time::Instant::now();
        let scene = Scene::new(&Picture::new(&wanted));
        assert!(scene.marks.len() > 3000, "{}", scene.marks.len());
        // Some seconds without optimisation on a busy machine; what grows with the square of the size takes minutes.
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
