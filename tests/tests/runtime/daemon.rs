//! Real network systems in pods.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use podwire_tests::private::skip;

/// A daemon that runs, and is killed with its test.
pub(crate) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Daemon {
    /// Starts a program in the network namespace of a pod, in the foreground.
    pub(crate) fn start(pod: &str, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{pod}")).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

/// Whether a test cannot run, for want of root or of one of these programs of a Debian package; it has said so.
pub(crate) fn is_missing(package: &str, programs: &[&str]) -> bool {
    if !nix::unistd::geteuid().is_root() {
        skip(&format!("the daemons of {package} change to a user of their own: root is needed"));
        return true;
    }
    let missing = programs.iter().find(|program| !Path::new(program).exists());
    if let Some(program) = missing {
        skip(&format!("no {program}: apt-get install --no-install-recommends {package}"));
    }
    missing.is_some()
}

/// What a program writes to its standard output.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a program succeeds; else what it says.
pub(crate) fn done(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said()) }
}
