//! Captures that a test takes, and what the programs of others read in them.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use podwire_client::{Capture, CaptureRequest, Error};
use podwire_proto::v1::BpfInstruction;
use tokio::time::timeout;

use crate::{condition::PATIENCE, lab::Lab, lab::agent::Agent};

/// How long a look at what is there already waits for it.
const GLANCE: Duration = Duration::from_millis(20);

/// A capture and the file that it has made so far.
#[derive(Debug)]
pub struct Film {
    capture: Capture,
    file: Vec<u8>,
}

impl Film {
    /// Starts a capture; from here on frames are seen.
    ///
    /// # Errors
    ///
    /// The agent's answer.
    pub async fn start(agent: &Agent, request: CaptureRequest) -> Result<Self, Error> {
        let mut film = Self { capture: agent.client().await.capture(request).await?, file: Vec::new() };
        // The header of the file: its sockets are open before it is sent.
        film.more().await;
        Ok(film)
    }

    /// Waits for more of the file.
    ///
    /// # Panics
    ///
    /// It ends, or nothing comes.
    async fn more(&mut self) {
        let next = timeout(PATIENCE, self.capture.next()).await.unwrap_or_else(|_| panic!("nothing captured in time"));
        match next {
            Some(Ok(bytes)) => self.file.extend(bytes),
            other => panic!("the capture ended: {other:?}"),
        }
    }

    /// Reads on until so many frames are in the file.
    ///
    /// # Panics
    ///
    /// They do not come.
    pub async fn until_frames(&mut self, frames: u64) {
        while self.capture.frames() < frames {
            self.more().await;
        }
    }

    /// Reads what is there already.
    ///
    /// # Panics
    ///
    /// The capture ended.
    pub async fn glance(&mut self) {
        while let Ok(next) = timeout(GLANCE, self.capture.next()).await {
            match next {
                Some(Ok(bytes)) => self.file.extend(bytes),
                other => panic!("the capture ended: {other:?}"),
            }
        }
    }

    /// Frames in the file so far.
    pub fn frames(&self) -> u64 {
        self.capture.frames()
    }

    /// Reads on until it ends: the file, the frames, the drops, and why it ended where that is an error.
    ///
    /// # Panics
    ///
    /// It does not end.
    pub async fn until_end(mut self) -> (Vec<u8>, u64, u64, Option<Error>) {
        loop {
            let next = timeout(PATIENCE, self.capture.next()).await;
            match next.unwrap_or_else(|_| panic!("the capture does not end")) {
                Some(Ok(bytes)) => self.file.extend(bytes),
                Some(Err(error)) => return (self.file, self.capture.frames(), self.capture.drops(), Some(error)),
                None => return (self.file, self.capture.frames(), self.capture.drops(), None),
            }
        }
    }

    /// The file so far, whole.
    pub fn file(&self) -> &[u8] {
        &self.file
    }
}

/// One of Debian's programs, where it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// What `tshark` shows of a file: a row for each frame, with these fields.
///
/// # Errors
///
/// It finds the file broken.
pub fn tshark(lab: &Lab, file: &[u8], fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let path = written(lab, file)?;
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let args = ["-n", "-r"].map(OsStr::new).into_iter().chain([path.as_os_str()]);
    let args = args.chain(["-T", "fields", "-E", "separator=/t"].map(OsStr::new)).chain(fields.map(OsStr::new));
    let said = run("tshark", args)?;
    Ok(said.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// What `capinfos` says of a file, one line for each finding, with numbers as they are.
///
/// # Errors
///
/// It finds the file broken.
pub fn capinfos(lab: &Lab, file: &[u8]) -> Result<String> {
    let path = written(lab, file)?;
    run("capinfos", [OsStr::new("-M"), path.as_os_str()])
}

/// What `tcpdump` prints of a file.
///
/// # Errors
///
/// It finds the file broken.
pub fn tcpdump(lab: &Lab, file: &[u8]) -> Result<String> {
    let path = written(lab, file)?;
    let tcpdump = program("tcpdump").context("tcpdump")?;
    let mut command = Command::new(&tcpdump);
    if is_user_namespace() {
        // As root it becomes somebody else first, which the root of a user namespace may not: it runs as nobody at all.
        command = Command::new("unshare");
        command.arg("--user").arg(&tcpdump);
    }
    let output = command.args(["-nner", "-"]).stdin(fs::File::open(path)?).output()?;
    if !output.status.success() {
        bail!("tcpdump: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether root is somebody else outside: not every user is mapped.
fn is_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().nth(2) != Some("4294967295")
}

fn written(lab: &Lab, file: &[u8]) -> Result<PathBuf> {
    let path = lab.directory().join(format!("film-{}.pcapng", lab.number()));
    fs::write(&path, file)?;
    Ok(path)
}

fn run<'a>(name: &str, args: impl IntoIterator<Item = &'a OsStr>) -> Result<String> {
    let output =
        Command::new(program(name).with_context(|| name.to_owned())?).args(args).env("HOME", "/run/lab").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{name}: {said}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Drops counted in the file: the last `isb_ifdrop` of each interface, together.
///
/// # Panics
///
/// The file is broken.
pub fn drops_told(file: &[u8]) -> u64 {
    let mut last = std::collections::BTreeMap::new();
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap_or_default());
    let half = |at: usize| u16::from_ne_bytes(file[at..at + 2].try_into().unwrap_or_default());
    let mut at = 0;
    while at < file.len() {
        let length = word(at + 4) as usize;
        if word(at) == 5 {
            let mut option = at + 20;
            while half(option) != 0 {
                if half(option) == 5 {
                    let bytes = file[option + 4..option + 12].try_into().unwrap_or_default();
                    last.insert(word(at + 8), u64::from_ne_bytes(bytes));
                }
                option += 4 + usize::from(half(option + 2)).next_multiple_of(4);
            }
        }
        at += length;
    }
    last.values().sum()
}

/// A program of one instruction that keeps nothing, to see that filters are asked.
pub fn nothing() -> Vec<BpfInstruction> {
    vec![BpfInstruction { code: 6, jt: 0, jf: 0, k: 0 }]
}

/// Kilobytes of a process' memory that are in use, and its descriptors.
///
/// # Panics
///
/// It is gone.
pub fn footprint(agent: &Agent) -> (u64, usize) {
    let process = format!("/proc/{}", agent.pid());
    let status = fs::read_to_string(format!("{process}/status")).unwrap_or_else(|error| panic!("{process}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let descriptors = fs::read_dir(Path::new(&process).join("fd")).map_or(0, Iterator::count);
    (kilobytes, descriptors)
}
