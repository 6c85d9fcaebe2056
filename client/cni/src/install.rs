//! The installer: this program and the entry for it on a node.

pub(crate) mod conflist;
mod directory;
mod file;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    NAME,
    arguments::{Arguments, Command, Entry, Node},
};

use self::{conflist::Edit, directory::Chained};

/// Bytes of the buffer that inotify fills.
const BUFFER_BYTES: usize = 4096;

/// Why the node is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// The system refused a step.
    #[error("cannot {step} {}", .path.display())]
    System {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl InstallError {
    fn at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { step, path: path.to_owned(), source }
    }
}

/// Installs or uninstalls, as the command line says.
pub async fn manage(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Install { node, entry, watch } => install(&node, &entry, watch).await,
        Command::Uninstall { node, stay } => uninstall(&node, stay).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            say(&format!("{error}{cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn install(node: &Node, entry: &Entry, watch: bool) -> Result<(), InstallError> {
    for dir in [&node.cni_bin_dir, &node.cni_conf_dir] {
        std::fs::create_dir_all(dir).map_err(InstallError::at("make", dir))?;
    }
    let mut end = End::new()?;
    let edit = Edit::Add(entry.json());
    let mut said = String::new();
    loop {
        // First it watches, then it looks: no change falls between. Anew each time, for a directory may be made anew.
        let mut changes = changes(node)?;
        // It can be read though somebody has removed the file that it was.
        if file::copy_program(Path::new("/proc/self/exe"), &node.cni_bin_dir.join(NAME))? {
            say(&format!("put {} into {}", NAME, node.cni_bin_dir.display()));
        }
        let (chained, words) = match directory::edit(&node.cni_conf_dir, &edit)? {
            Chained::Changed(path) => (true, format!("chained into {}", path.display())),
            Chained::Already(path) => (true, format!("is chained in {}", path.display())),
            Chained::Nowhere(problems) if problems.is_empty() => {
                (false, format!("waiting for a configuration list in {}", node.cni_conf_dir.display()))
            }
            Chained::Nowhere(problems) => (false, format!("waiting for a list to chain into: {}", problems.join("; "))),
        };
        if words != said {
            say(&words);
            said = words;
        }
        if chained && !watch {
            return Ok(());
        }
        tokio::select! {
            _ = changes.next() => {}
            () = end.asked() => return Ok(()),
        }
    }
}

/// The entry goes first: a list must not name a program that is not there.
async fn uninstall(node: &Node, stay: bool) -> Result<(), InstallError> {
    let mut end = End::new()?;
    for path in directory::remove_all(&node.cni_conf_dir)? {
        say(&format!("taken out of {}", path.display()));
    }
    let program = node.cni_bin_dir.join(NAME);
    match std::fs::remove_file(&program) {
        Ok(()) => say(&format!("removed {}", program.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(InstallError::System { step: "remove", path: program, source }),
    }
    if stay {
        say("nothing of it is left on this node");
        end.asked().await;
    }
    Ok(())
}

/// SIGTERM and SIGINT, heard from when it is made.
struct End([Signal; 2]);

impl End {
    fn new() -> Result<Self, InstallError> {
        let hear = |kind| signal(kind).map_err(InstallError::at("listen for signals of", Path::new("this process")));
        Ok(Self([hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?]))
    }

    async fn asked(&mut self) {
        let [terminate, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Changes of both directories.
fn changes(node: &Node) -> Result<inotify::EventStream<[u8; BUFFER_BYTES]>, InstallError> {
    let inotify = Inotify::init().map_err(InstallError::at("watch", &node.cni_conf_dir))?;
    let mask = WatchMask::CLOSE_WRITE
        | WatchMask::MOVED_TO
        | WatchMask::MOVED_FROM
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::ATTRIB;
    for dir in [&node.cni_bin_dir, &node.cni_conf_dir] {
        std::fs::create_dir_all(dir).map_err(InstallError::at("make", dir))?;
        inotify.watches().add(dir, mask).map_err(InstallError::at("watch", dir))?;
    }
    inotify.into_event_stream([0; BUFFER_BYTES]).map_err(InstallError::at("watch", &node.cni_conf_dir))
}

fn say(words: &str) {
    // Nobody has to read it.
    drop(writeln!(io::stderr(), "podwire-cni: {words}"));
}
