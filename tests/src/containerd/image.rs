//! The image of the agent, in a containerd.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Containerd, succeed};
use crate::manifest::output;

/// Environment variable: an archive that `deploy/image/build` or an image tool made, of the name that the manifest has.
pub const ARCHIVE: &str = "PODWIRE_TEST_IMAGE";

impl Containerd {
    /// Gives it the image of the agent under the name that the manifest has, with the domain that a runtime adds to it.
    ///
    /// It is the archive of [`ARCHIVE`]. Without that, the programs under test are packed with the libraries that they
    /// want: those of a release are static, and building them takes minutes.
    ///
    /// # Errors
    ///
    /// It cannot be packed, or containerd refuses it.
    pub fn import_agent(&self, image: &str) -> Result<()> {
        let archive = match env::var_os(ARCHIVE) {
            Some(archive) => PathBuf::from(archive),
            None => self.pack(image)?,
        };
        let mut import = Command::new(self.folder.join("ctr"));
        succeed(import.args(["-n", "k8s.io", "images", "import"]).arg(archive))
    }

    fn pack(&self, image: &str) -> Result<PathBuf> {
        let folder = self.lab.directory().join("agent-image");
        let (root, bin) = (folder.join("root"), folder.join("root/usr/bin"));
        fs::create_dir_all(&bin)?;
        for program in ["podwire-agent", "podwire", "podwire-cni"] {
            let source = self.lab.binary(program);
            // Debugging information is most of a debug build.
            succeed(Command::new("strip").arg("-o").arg(bin.join(program)).arg(&source))?;
            for library in libraries(&source)? {
                let target = root.join(library.strip_prefix("/")?);
                fs::create_dir_all(target.parent().context("a folder")?)?;
                fs::copy(&library, &target).with_context(|| library.display().to_string())?;
            }
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/image.sh");
        let name = format!("docker.io/library/{image}");
        succeed(Command::new(script).arg(&folder).args([&name, "/usr/bin/podwire-agent"]))?;
        Ok(folder.join("image.tar"))
    }
}

/// The libraries of a program and its dynamic linker: the words of `ldd` that are paths.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = output(Command::new("ldd").arg(program))?;
    Ok(said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
