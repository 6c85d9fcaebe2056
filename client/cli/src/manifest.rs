//! Manifests: files of three kinds to one topology. Pure: nothing is read from the disk and nothing is sent.

mod definition;
mod duration;
mod element;
mod embedded;
mod findings;
mod honour;
mod indentation;
mod ipam;
mod lesson;
mod node;
mod patch;
mod pod;
mod problem;
mod segment;
mod selection;
mod source;
mod syntax;
mod topology;
mod wiring;

use podwire_proto::v1;

pub use duration::{DurationError, parse_duration};
pub use problem::{Invalid, Problem, Severity, Spot};
pub use source::{MAX_BYTES, Source};

use findings::Findings;
use node::Node;
use source::Place;

/// What the command line says about the manifests.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the topology. Networks and pods need it; a lesson has its slug, a topology document its `name`.
    pub topology: Option<String>,
    /// Kubernetes namespace of what does not give its own.
    pub namespace: Option<String>,
    /// What podwire does not honour is an error.
    pub strict: bool,
}

/// What the manifests ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The whole desired state.
    pub topology: v1::Topology,
    /// What is not honoured.
    pub warnings: Vec<Problem>,
}

/// Reads manifests of any kind into one topology.
///
/// # Errors
///
/// Every problem of every file, each with its place and, where there is one, a hint.
pub fn read(sources: &[Source], options: &Options) -> Result<Manifest, Invalid> {
    let mut findings = Findings::new(sources, options.strict);
    let mut documents = Documents::default();
    for index in 0..sources.len() {
        documents.gather(index, options, &mut findings);
    }
    let topology = documents.topology(options, &mut findings);
    let warnings = findings.finish()?;
    topology
        .map(|topology| Manifest { topology, warnings })
        .ok_or_else(|| Invalid { problems: vec![Problem::error("the manifests make no topology")] })
}

/// The documents of all files, by kind.
#[derive(Default)]
struct Documents {
    topologies: Vec<Node>,
    lessons: Vec<Node>,
    definitions: Vec<definition::Definition>,
    pods: Vec<pod::Pod>,
    /// Kubernetes objects, whether or not they ask for a network.
    objects: usize,
    /// Something could not be read: what it would have said is unknown, and no reason for further errors.
    incomplete: bool,
}

impl Documents {
    fn gather(&mut self, source: usize, options: &Options, findings: &mut Findings<'_>) {
        let text = findings.text(source);
        let parsed = syntax::parse(text, source, findings, |findings, error| {
            findings
                .error(Place { source, offset: error.offset }, error.message.clone())
                .hint("YAML nests by indentation: compare the start of this line with the lines above it");
        });
        for document in &parsed.documents {
            self.sort(document, options, findings);
        }
        self.incomplete |= !parsed.complete;
        if let Some(broken) = &parsed.broken {
            indentation::check(broken, findings);
        }
    }

    fn sort(&mut self, document: &Node, options: &Options, findings: &mut Findings<'_>) {
        if !document.is_map() {
            findings.error(document.place, format!("a document that is {}, not a mapping", document.kind()));
        } else if document.get("kind").is_some() || document.get("apiVersion").is_some() {
            self.object(document, options, findings);
        } else if document.get("endpoints").is_some() || document.get("connections").is_some() {
            self.lessons.push(document.clone());
        } else {
            self.topologies.push(document.clone());
        }
    }

    fn object(&mut self, object: &Node, options: &Options, findings: &mut Findings<'_>) {
        self.objects += 1;
        let Some(kind) = object.get("kind") else {
            findings.error(object.place, "a Kubernetes object without `kind`");
            return;
        };
        if indentation::check(object, findings) {
            self.incomplete = true;
            return;
        }
        match kind.text().unwrap_or_default() {
            "NetworkAttachmentDefinition" => {
                let namespace = options.namespace.as_deref().unwrap_or("default");
                let definition = definition::read(object, namespace, findings);
                self.incomplete |= definition.is_none();
                self.definitions.extend(definition);
            }
            "Pod" => self.pods.extend(pod::read(object, findings)),
            "List" | "PodList" | "NetworkAttachmentDefinitionList" => {
                for item in object.get("items").map_or(&[][..], Node::items) {
                    self.object(item, options, findings);
                }
            }
            other => {
                findings
                    .warn(kind.place, format!("objects of kind `{other}` are ignored"))
                    .hint("podwire reads `NetworkAttachmentDefinition` and `Pod`");
            }
        }
    }

    fn topology(self, options: &Options, findings: &mut Findings<'_>) -> Option<v1::Topology> {
        let kinds = usize::from(!self.topologies.is_empty())
            + usize::from(!self.lessons.is_empty())
            + usize::from(self.objects > 0);
        let alone = self.topologies.iter().chain(&self.lessons);
        if kinds > 1 || alone.clone().count() > 1 {
            let place = alone.last().map(|document| document.place);
            findings
                .error(place, "a topology document and a lesson each stand alone")
                .hint("apply them one by one; only networks and pods may be many");
            return None;
        }
        if let Some(document) = self.topologies.first() {
            let topology = topology::read(document, findings)?;
            return named(topology, document, options, findings);
        }
        if let Some(document) = self.lessons.first() {
            let mut topology = lesson::read(document, options, findings)?;
            topology.namespace = options.namespace.clone().unwrap_or_else(|| "default".to_owned());
            return Some(topology);
        }
        if self.objects == 0 {
            if !findings.failed() {
                findings.error(None, "the manifests are empty");
            }
            return None;
        }
        if self.incomplete {
            return None;
        }
        wiring::wire(&self.definitions, &self.pods, options, findings)
    }
}

/// A topology document with the name and the namespace of the command line, which must not contradict its own.
fn named(
    mut topology: v1::Topology,
    document: &Node,
    options: &Options,
    findings: &mut Findings<'_>,
) -> Option<v1::Topology> {
    let wishes = [("topology", "name", &options.topology), ("namespace", "namespace", &options.namespace)];
    for (flag, field, wish) in wishes {
        let own = if field == "name" { &mut topology.name } else { &mut topology.namespace };
        let Some(wish) = wish else { continue };
        if own.is_empty() {
            own.clone_from(wish);
        } else if own != wish {
            let place = document.get(field).map_or(document.place, |node| node.place);
            findings.error(place, format!("`{field}` is `{own}`, but `--{flag}` is `{wish}`"));
        }
    }
    if topology.name.is_empty() {
        findings.error(document.place, "the topology has no `name`").hint("name it with `--topology NAME`");
        return None;
    }
    if topology.namespace.is_empty() {
        "default".clone_into(&mut topology.namespace);
    }
    Some(topology)
}
