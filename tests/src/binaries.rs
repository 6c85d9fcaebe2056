//! The real binaries, built once for each test process.

use std::{
    env,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, bail};

/// Environment variable with the folder of the binaries: nothing is built. Set for what runs inside a private kernel;
/// to be set by hand to test binaries from elsewhere.
pub const DIRECTORY: &str = "PODWIRE_TEST_BINARIES";

/// The folder with `podwire-agent`, `podwire`, `podwire-cni` and `private`, built with the profile of this executable.
///
/// # Errors
///
/// The build failed.
pub fn directory() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    match BUILT.get_or_init(|| built(profile).map_err(|error| format!("{error:#}"))) {
        Ok(directory) => Ok(directory),
        Err(error) => bail!("{error}"),
    }
}

/// The same, built with a profile of this name, which is that of this executable.
///
/// # Errors
///
/// The build failed.
pub fn built(profile: &str) -> Result<PathBuf> {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return Ok(directory.into());
    }
    let this = env::current_exe().context("find our own executable")?;
    // target/debug/deps/node-0123 or target/debug/demo
    let mut folder = this.parent().context("a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("a folder")?;
    }
    let mut cargo = Command::new(env!("CARGO"));
    // All of the workspace, as the caller's own build: another choice of packages may mean other features, and a rebuild.
    cargo.args(["build", "--workspace", "--bins", "--profile", profile]);
    // What cargo says to a test of its package: `ring` is compiled anew, and all that has it, where this differs.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    if cfg!(feature = "otlp") {
        cargo.args(["--features", "podwire-tests/otlp"]);
    }
    if !io::stderr().is_terminal() {
        cargo.arg("--quiet");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("run cargo")?;
    if !status.success() {
        bail!("`cargo build --workspace --bins` failed");
    }
    for name in ["podwire-agent", "podwire", "podwire-cni", "private"] {
        if !folder.join(name).is_file() {
            bail!("`{}` was not built", folder.join(name).display());
        }
    }
    Ok(folder.to_path_buf())
}
