//! A stock Debian kernel, unpacked and not installed.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The package that depends on the newest kernel for virtual machines.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// A kernel.
pub(crate) struct Kernel {
    /// `6.1.0-40-cloud-amd64`.
    pub(crate) release: String,
    /// What is booted.
    pub(crate) image: PathBuf,
    folder: PathBuf,
    /// What each module needs, by name, in the order in which `modules.dep` has it.
    needs: BTreeMap<String, Vec<PathBuf>>,
}

/// The kernel that lies in a folder, or is brought there.
pub(crate) fn kernel(folder: &Path) -> Result<Kernel> {
    if release(folder).is_none() {
        fetch(folder)?;
    }
    let release = release(folder).with_context(|| format!("no kernel in {}", folder.display()))?;
    let needs = needs(folder, &release)?;
    let image = folder.join("boot").join(format!("vmlinuz-{release}"));
    Ok(Kernel { release, image, folder: folder.to_path_buf(), needs })
}

fn release(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder.join("boot")).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned)).max()
}

fn fetch(folder: &Path) -> Result<()> {
    let said = run(Command::new("apt-cache").args(["depends", PACKAGE]))?;
    let package = said.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let package = format!("linux-image-{}", package.with_context(|| format!("no {PACKAGE}: run apt-get update"))?);
    let download = folder.join("download");
    fs::create_dir_all(&download)?;
    run(Command::new("apt-get").args(["-qq", "download", &package]).current_dir(&download))?;
    for entry in fs::read_dir(&download)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("deb")) {
            run(Command::new("dpkg").arg("-x").arg(&path).arg(folder))?;
        }
    }
    Ok(fs::remove_dir_all(&download)?)
}

fn needs(folder: &Path, release: &str) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let list = folder.join("lib/modules").join(release).join("modules.dep");
    if !list.is_file() {
        run(Command::new("busybox").args(["depmod", "-b"]).arg(folder).arg(release))?;
    }
    let text = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let line = |line: &str| {
        let (module, rest) = line.split_once(':')?;
        let mut files: Vec<PathBuf> = rest.split_whitespace().map(PathBuf::from).collect();
        files.insert(0, PathBuf::from(module));
        Some((name(Path::new(module)), files))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// The name of a module by its file, as the kernel has it.
fn name(file: &Path) -> String {
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

impl Kernel {
    /// The modules of these names, what they need first. One that is built in is left out.
    pub(crate) fn order(&self, wanted: &[&str]) -> Result<Vec<String>> {
        let mut order = Vec::new();
        for module in wanted {
            self.visit(module, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, module: &str, order: &mut Vec<String>) -> Result<()> {
        let Some(files) = self.needs.get(module) else {
            let built_in = self.folder.join("lib/modules").join(&self.release).join("modules.builtin");
            let built_in = fs::read_to_string(built_in)?;
            if built_in.lines().any(|line| name(Path::new(line)) == module) {
                return Ok(());
            }
            bail!("kernel {} has no module `{module}`", self.release);
        };
        for file in files.iter().skip(1) {
            self.visit(&name(file), order)?;
        }
        if !order.iter().any(|done| done == module) {
            order.push(module.to_owned());
        }
        Ok(())
    }

    /// Hands over each module of `order` with its bytes.
    pub(crate) fn modules(&self, wanted: &[&str], mut take: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        for module in self.order(wanted)? {
            let file = self.needs[&module].first().context("a file")?;
            let path = self.folder.join("lib/modules").join(&self.release).join(file);
            let bytes = if path.extension() == Some(OsStr::new("xz")) {
                let output = Command::new("xz").arg("-dc").arg(&path).output().context("run xz (xz-utils)")?;
                output.stdout
            } else {
                fs::read(&path).with_context(|| path.display().to_string())?
            };
            take(&module, &bytes)?;
        }
        Ok(())
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
