//! Manifests of every kind and notation, read by the library alone.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "manifests/annotation.rs"]
mod annotation;
#[path = "manifests/broken.rs"]
mod broken;
#[path = "manifests/definition.rs"]
mod definition;
#[path = "manifests/lesson.rs"]
mod lesson;
#[path = "manifests/property.rs"]
mod property;
#[path = "manifests/published.rs"]
mod published;
#[path = "manifests/topology.rs"]
mod topology;

use podwire_cli::manifest::{Invalid, Manifest, Options, Source, read};
use podwire_proto::v1;

/// Reads texts under the names `1.yaml`, `2.yaml`, …, as topology `t`.
fn texts(texts: &[&str]) -> Result<Manifest, Invalid> {
    with(texts, &Options { topology: Some("t".to_owned()), ..Options::default() })
}

fn with(texts: &[&str], options: &Options) -> Result<Manifest, Invalid> {
    let sources: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Source::new(format!("{}.yaml", index + 1), text.as_bytes().to_vec()).unwrap())
        .collect();
    read(&sources, options)
}

/// Reads a file of `tests/inputs`.
fn input(name: &str) -> Source {
    let path = format!("{}/tests/inputs/{name}", env!("CARGO_MANIFEST_DIR"));
    Source::new(name, std::fs::read(path).unwrap()).unwrap()
}

/// A definition with a configuration.
fn definition(name: &str, config: &str) -> String {
    format!(
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata:\n  name: {name}\nspec:\n  config: |\n    {}\n",
        config.replace('\n', "\n    ")
    )
}

/// A pod with an annotation.
fn pod(name: &str, annotation: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  annotations:\n    k8s.v1.cni.cncf.io/networks: |\n      {}\n",
        annotation.replace('\n', "\n      ")
    )
}

/// `pod interface order [addresses]` of each attachment.
fn plugs(manifest: &Manifest) -> Vec<String> {
    let attachments = manifest.topology.attachments.iter();
    attachments
        .map(|attachment| {
            let interface = attachment.interface.as_ref().unwrap();
            let target = match attachment.target.as_ref().unwrap() {
                v1::attachment::Target::Bridge(bridge) => bridge.clone(),
                v1::attachment::Target::Device(device) => format!("device {}", device.parent),
            };
            let Some(v1::interface::Owner::Pod(pod)) = &interface.owner else { panic!("no pod") };
            let (name, order) = (&interface.name, interface.order);
            format!("{}: {pod} {name} {order} -> {target}", attachment.name)
        })
        .collect()
}

fn messages(problems: &[podwire_cli::manifest::Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| match &problem.spot {
            Some(spot) => format!("{}:{}:{} {}", spot.file, spot.line, spot.column, problem.message),
            None => problem.message.clone(),
        })
        .collect()
}

/// The errors of what must be invalid.
fn errors(result: Result<Manifest, Invalid>) -> Vec<String> {
    messages(&result.unwrap_err().problems)
}
