//! The Kubernetes manifests of `deploy/`, as they are and as the tools render them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The folder `deploy`.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The documents of a YAML text, without empty ones.
///
/// # Errors
///
/// It is not YAML.
pub fn documents(yaml: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The documents of a file below [`folder`].
///
/// # Errors
///
/// It cannot be read, or is not YAML.
pub fn file(path: &str) -> Result<Vec<Value>> {
    let path = folder().join(path);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    documents(&text).with_context(|| path.display().to_string())
}

/// The one document of a kind.
///
/// # Errors
///
/// There is none, or more than one.
pub fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Result<&'a Value> {
    let mut found = documents.iter().filter(|document| document["kind"] == kind);
    match (found.next(), found.next()) {
        (Some(document), None) => Ok(document),
        (None, _) => bail!("there is no {kind}"),
        _ => bail!("there is more than one {kind}"),
    }
}

/// What `kustomize build` makes of a folder below [`folder`]; `kubectl kustomize` is the same program. `None`: this machine
/// has neither.
///
/// # Errors
///
/// It refuses the folder.
pub fn kustomize(path: &str) -> Result<Option<Vec<Value>>> {
    let mut command = match (tool("kustomize"), tool("kubectl")) {
        (Some(kustomize), _) => {
            let mut command = Command::new(kustomize);
            command.arg("build");
            command
        }
        (None, Some(kubectl)) => {
            let mut command = Command::new(kubectl);
            command.arg("kustomize");
            command
        }
        (None, None) => return Ok(None),
    };
    output(command.arg(folder().join(path))).and_then(|yaml| documents(&yaml)).map(Some)
}

/// What kustomize makes of a base and components below [`folder`], in a kustomization of a user's own. `None`: as
/// [`kustomize`].
///
/// # Errors
///
/// It refuses them, or the kustomization cannot be written.
pub fn kustomize_with(base: &str, components: &[&str]) -> Result<Option<Vec<Value>>> {
    let own = tempfile::TempDir::new()?;
    let at = own.path().canonicalize()?;
    // Kustomize takes folders elsewhere by relative paths only.
    let up: PathBuf = at.components().skip(1).map(|_| "..").collect();
    let here = up.join(folder().canonicalize()?.strip_prefix("/")?);
    let path = |folder: &&str| here.join(folder);
    let kustomization = serde_json::json!({
        "resources": [path(&base)],
        "components": components.iter().map(path).collect::<Vec<_>>(),
    });
    fs::write(at.join("kustomization.yaml"), kustomization.to_string())?;
    kustomize(&at.display().to_string())
}

/// What `helm template` makes of the chart with some values (`name=value`). `None`: this machine has no helm.
///
/// # Errors
///
/// It refuses the values.
pub fn helm(values: &[&str]) -> Result<Option<Vec<Value>>> {
    let Some(helm) = tool("helm") else { return Ok(None) };
    let mut command = Command::new(helm);
    // A helm that was built by `go install` takes itself for one of Kubernetes 1.20.
    command.args(["template", "podwire", "--namespace", "podwire-system", "--kube-version", "1.30.0"]);
    command.args(values.iter().flat_map(|value| ["--set", value])).arg(folder().join("helm/podwire"));
    output(&mut command).and_then(|yaml| documents(&yaml)).map(Some)
}

/// The standard output of a command that must succeed.
///
/// # Errors
///
/// It fails; with what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The path of a program of this machine.
pub fn tool(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
