//! Runs the tests that need more than the kernel of a usual test machine has: on a stock Debian kernel, in QEMU.
//!
//! `cargo kernel-matrix` runs those of `matrix`, `cargo kernel-matrix links` others; all arguments are those of libtest. Needs
//! Debian's packages qemu-system-x86 and busybox-static. The machine gets no disk and no network: all that it runs
//! is packed into its initial RAM file system, at the places where it is here.

#![allow(clippy::print_stdout, reason = "a program that says what it does")]

#[path = "kernel_matrix/archive.rs"]
mod archive;
#[path = "kernel_matrix/debian.rs"]
mod debian;
#[path = "kernel_matrix/machine.rs"]
mod machine;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use podwire_tests::binaries;

use archive::Archive;
use machine::Machine;

/// How long all tests together may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// Tools that tests run.
const TOOLS: [&str; 3] = ["ip", "tc", "bridge"];

/// Modules that tests need, and with each what it needs. The kernel would ask for most of them by itself.
const MODULES: [&str; 17] = [
    "veth",
    "bridge",
    "macvlan",
    "8021q",
    "bonding",
    "dummy",
    "ifb",
    "af_packet",
    "sch_ingress",
    "sch_netem",
    "sch_tbf",
    "sch_fq_codel",
    "cls_u32",
    "act_mirred",
    "tun",
    "sch_htb",
    "ipv6",
];

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let start = Instant::now();
    let binaries = binaries::directory()?;
    let folder = binaries.parent().context("a folder above the binaries")?.join("ci/kernel");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let tests = tests(binaries)?;
    let kernel = debian::kernel(&folder)?;
    let initrd = pack(&folder, &kernel, binaries, &tests, &arguments)?;
    println!("kernel {}, packed after {:.1} s", kernel.release, start.elapsed().as_secs_f64());
    let code = Machine { kernel: &kernel.image, initrd: &initrd, folder: &folder, deadline: DEADLINE }.run()?;
    println!("the machine ran with exit status {code}, all of it {:.1} s", start.elapsed().as_secs_f64());
    Ok(ExitCode::from(code))
}

/// Builds the end-to-end tests and finds their executable.
fn tests(binaries: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--package", "podwire-tests", "--test", "node", "--no-run", "--quiet"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    if !binaries.ends_with("debug") {
        cargo.arg("--release");
    }
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("`{cargo:?}` failed");
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let message = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut found = message.filter(|message| message["target"]["name"] == "node");
    found.find_map(|message| message["executable"].as_str().map(PathBuf::from)).context("cargo names no executable")
}

/// Packs the root file system of the machine.
fn pack(
    folder: &Path,
    kernel: &debian::Kernel,
    binaries: &Path,
    tests: &Path,
    arguments: &[String],
) -> Result<PathBuf> {
    let mut archive = Archive::new(folder.join("initrd"))?;
    for place in ["dev", "proc", "sys", "run", "tmp", "etc", "root", "var/lib"] {
        archive.folder(Path::new("/").join(place))?;
    }
    let busybox = find("busybox")?;
    archive.file(Path::new("/bin/busybox"), &fs::read(&busybox)?, true)?;
    let mut programs = vec![tests.to_path_buf()];
    programs.extend(["podwire-agent", "podwire", "private"].map(|name| binaries.join(name)));
    for program in &programs {
        archive.file(program, &stripped(program, folder)?, true)?;
    }
    for tool in TOOLS {
        let path = find(tool)?;
        // Where everybody looks for it.
        archive.file(&Path::new("/sbin").join(tool), &fs::read(&path)?, true)?;
        programs.push(path);
    }
    for program in &programs {
        for library in libraries(program)? {
            archive.copy(&library)?;
        }
    }
    kernel.modules(&MODULES, |name, bytes| archive.file(&Path::new("/modules").join(name), bytes, false))?;
    let names = kernel.order(&MODULES)?;
    let default = ["matrix".to_owned()];
    let filter = if arguments.is_empty() { &default[..] } else { arguments };
    let words: Vec<String> = filter.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    let script = format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/sbin:/bin HOME=/root CI=1 RUST_BACKTRACE=1 PODWIRE_TEST_BINARIES='{}'\n\
         mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs run /run\n\
         for module in {}; do insmod /modules/$module || echo \"insmod $module failed\" >/dev/ttyS0; done\n\
         ip link set lo up\n\
         '{}' {} --include-ignored --nocapture --test-threads=1 </dev/null >/dev/ttyS0 2>&1\n\
         echo $? >/dev/ttyS1\n\
         poweroff -f\n",
        binaries.display(),
        names.join(" "),
        tests.display(),
        words.join(" "),
    );
    archive.file(Path::new("/init"), script.as_bytes(), true)?;
    archive.finish()
}

/// A program without its debug information, which would fill the machine's memory.
fn stripped(program: &Path, folder: &Path) -> Result<Vec<u8>> {
    let to = folder.join("stripped");
    let status = Command::new("strip").args(["--strip-debug", "-o"]).arg(&to).arg(program).status();
    if !status.context("run strip (Debian's package binutils)")?.success() {
        bail!("strip {} failed", program.display());
    }
    fs::read(&to).with_context(|| to.display().to_string())
}

fn find(program: &str) -> Result<PathBuf> {
    let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("no `{program}` (Debian's packages iproute2 and busybox-static)"))
}

/// The libraries that a program is linked to, its loader included.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(text.lines().filter_map(path).collect())
}
