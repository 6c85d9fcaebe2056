//! A virtual machine by QEMU's software emulation.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

const QEMU: &str = "qemu-system-x86_64";

/// A machine that runs one kernel once.
pub(crate) struct Machine<'a> {
    pub(crate) kernel: &'a Path,
    pub(crate) initrd: &'a Path,
    /// Where it may write.
    pub(crate) folder: &'a Path,
    pub(crate) deadline: Duration,
}

impl Machine<'_> {
    /// Runs it, prints what it says, and returns the exit status of its tests.
    pub(crate) fn run(&self) -> Result<u8> {
        let (verdict, log) = (self.folder.join("verdict"), self.folder.join("kernel.log"));
        fs::write(&verdict, "")?;
        let mut command = Command::new(QEMU);
        // Everywhere the same: nested hardware help is there on some machines, and works on fewer.
        command.args(["-accel", "tcg,thread=multi", "-cpu", "qemu64,+rdrand", "-smp", "2", "-m", "2048"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
        command.arg("-serial").arg(format!("file:{}", verdict.display()));
        command.arg("-serial").arg(format!("file:{}", log.display()));
        command.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.initrd);
        // The emulated counter is the host's clock, whatever the kernel's watchdog makes of a busy host.
        command.args([
            "-append",
            "tsc=reliable clocksource=tsc console=ttyS2 loglevel=5 panic=-1 mitigations=off nokaslr rdinit=/init",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("run {QEMU} (Debian's package qemu-system-x86)"))?;
        let output = child.stdout.take().context("its output")?;
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                println!("  {}", String::from_utf8_lossy(&line).trim_end());
            }
        });
        let started = Instant::now();
        let ended = loop {
            if child.try_wait()?.is_some() {
                break true;
            }
            if started.elapsed() > self.deadline {
                child.kill()?;
                child.wait()?;
                break false;
            }
            thread::sleep(Duration::from_millis(50));
        };
        // It ends with the machine.
        let _ = reader.join();
        let said = fs::read_to_string(&verdict)?;
        match said.trim().parse() {
            Ok(code) => Ok(code),
            Err(_) if ended => bail!("the machine gave no verdict; its kernel said\n{}", tail(&log)),
            Err(_) => bail!("the machine did not end in {:?}; its kernel said\n{}", self.deadline, tail(&log)),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
