//! From files to one topology.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use podwire_client::v1;

use crate::{
    arguments::Manifests,
    exit::Failure,
    manifest::{self, MAX_BYTES, Source},
    output::Output,
};

/// Reads the manifests and writes their warnings.
pub(super) fn topology(arguments: &Manifests, output: &mut Output) -> Result<v1::Topology, Failure> {
    let sources = arguments.files.iter().map(|path| source(path)).collect::<Result<Vec<_>, _>>()?;
    let options = manifest::Options {
        topology: arguments.topology.clone(),
        namespace: arguments.namespace.clone(),
        strict: arguments.strict,
    };
    let manifest = manifest::read(&sources, &options)?;
    manifest.warnings.iter().for_each(|warning| output.problem(warning));
    let mut topology = manifest.topology;
    if let Some(lease) = arguments.lease {
        topology.lease = prost_types::Duration::try_from(lease).ok();
    }
    if let Some(generation) = arguments.fence.generation {
        topology.generation = generation;
    }
    Ok(topology)
}

fn source(path: &Path) -> Result<Source, Failure> {
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|source| Failure::File { path: path.to_owned(), source })?;
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    Ok(Source::new(name, bytes)?)
}
