//! What is made: the triangle of the seeds, by bridges or by links, for each of those who make it.

use podwire_proto::v1::{Link, Topology};
use podwire_tests::elements::{bridge, link, nic_at, plug, topology};

/// How pods are wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A bridge for each wire.
    Bridges,
    /// A STITCHED link for each wire.
    Links,
}

/// Three pods, three wires, six interfaces.
#[derive(Debug, Clone)]
pub(crate) struct Lesson {
    pub(crate) shape: Shape,
    pub(crate) pods: Vec<String>,
    pub(crate) bridges: u32,
    pub(crate) plugs: Vec<Plug>,
}

/// One interface.
#[derive(Debug, Clone)]
pub(crate) struct Plug {
    /// Which of the pods.
    pub(crate) pod: usize,
    /// Its name there.
    pub(crate) name: String,
    /// Which of the wires it is at.
    pub(crate) wire: u32,
    /// The first end of its wire.
    pub(crate) to_far: bool,
    /// Its address, of a /24.
    pub(crate) address: [u8; 4],
}

impl Lesson {
    /// The triangle of pods called `pod NUMBER a`, `b` and `c`.
    pub(crate) fn triangle(shape: Shape, number: usize) -> Self {
        let pods: Vec<String> = ["a", "b", "c"].iter().map(|pod| format!("pod{number}{pod}")).collect();
        let mut plugs = Vec::new();
        let mut next = [1, 1, 1];
        for (wire, ends) in (0_u8..).zip([[0, 1], [1, 2], [2, 0]]) {
            for (end, pod) in (0_u8..).zip(ends) {
                let name = format!("net{}", next[pod]);
                next[pod] += 1;
                let address = [10, u8::try_from(number % 200).unwrap_or(0), wire, end + 1];
                plugs.push(Plug { pod, name, wire: u32::from(wire), to_far: end == 0, address });
            }
        }
        let bridges = if shape == Shape::Bridges { 3 } else { 0 };
        Self { shape, pods, bridges, plugs }
    }

    /// As a topology of the API.
    pub(crate) fn topology(&self, name: &str) -> Topology {
        let end = |plug: &Plug| {
            let [a, b, c, d] = plug.address;
            nic_at(&self.pods[plug.pod], &plug.name, &[&format!("{a}.{b}.{c}.{d}/24")])
        };
        match self.shape {
            Shape::Bridges => Topology {
                bridges: (0..self.bridges).map(|number| bridge(&format!("lan{number}"))).collect(),
                attachments: (0..)
                    .zip(&self.plugs)
                    .map(|(number, each)| plug(&format!("p{number}"), end(each), &format!("lan{}", each.wire)))
                    .collect(),
                ..topology(name)
            },
            Shape::Links => {
                let wire = |(number, pair): (usize, &[Plug])| -> Link {
                    link(&format!("w{number}"), end(&pair[0]), end(&pair[1]))
                };
                Topology { links: self.plugs.chunks(2).enumerate().map(wire).collect(), ..topology(name) }
            }
        }
    }
}
