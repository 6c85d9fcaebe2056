//! Compiles `podwire/v1/*.proto`, and the part of CRI that the agent speaks, with protox: `cargo build` needs no `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 10] = [
    "podwire/v1/attachment.proto",
    "podwire/v1/bridge.proto",
    "podwire/v1/capture.proto",
    "podwire/v1/impairment.proto",
    "podwire/v1/interface.proto",
    "podwire/v1/link.proto",
    "podwire/v1/netns.proto",
    "podwire/v1/node.proto",
    "podwire/v1/sandbox.proto",
    "podwire/v1/topology.proto",
];

/// Kubernetes' package, not podwire's: it stays out of the descriptors that reflection shows.
const CRI: &str = "runtime/v1/cri.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=podwire");
    println!("cargo:rerun-if-changed={CRI}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    // protox' own encoding keeps the comments, so `grpcurl describe` shows them.
    fs::write(out.join("podwire.v1.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().build_transport(false).compile_fds(compiler.file_descriptor_set())?;
    tonic_prost_build::configure().build_transport(false).compile_fds(protox::compile([CRI], ["."])?)?;
    Ok(())
}
