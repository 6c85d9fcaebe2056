//! The CNI plugins `bridge` and `host-local`, run as a container runtime runs them: one exec of the plugin for each
//! interface, which execs its IPAM plugin, with the configuration on standard input and the result on standard output.
//!
//! What stands around them in practice (kubelet, the runtime, Multus and its daemon) is left out, in their favour.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    lesson::{Lesson, Plug},
    place::Place,
    wire::{Batch, LINK_HEADER, RTM_DELLINK, RTM_GETLINK, Wire, attributes},
};

/// Where Debian has them.
const PLUGINS: &str = "/usr/lib/cni";

/// Where host-local keeps its leases: a tmpfs, as all of /run.
const LEASES: &str = "/run/bench-cni";

/// Whether they are installed.
///
/// # Errors
///
/// They are not.
pub(crate) fn installed() -> Result<()> {
    for name in ["bridge", "host-local"] {
        let path = PathBuf::from(PLUGINS).join(name);
        ensure!(path.exists(), "{} is missing (Debian's package containernetworking-plugins)", path.display());
    }
    Ok(())
}

/// Plugs a lesson, one interface after the other.
pub(crate) fn add(place: &Place, number: usize, lesson: &Lesson) -> Result<Duration> {
    run(place, number, lesson, "ADD")
}

/// Unplugs it. The bridges stay, as the plugin leaves them.
pub(crate) fn del(place: &Place, number: usize, lesson: &Lesson) -> Result<Duration> {
    run(place, number, lesson, "DEL")
}

fn run(place: &Place, number: usize, lesson: &Lesson, command: &str) -> Result<Duration> {
    let calls: Vec<(&Plug, PathBuf, String)> = lesson
        .plugs
        .iter()
        .map(|plug| (plug, place.path(&lesson.pods[plug.pod]), config(number, plug.wire).to_string()))
        .collect();
    let began = Instant::now();
    for (plug, netns, config) in calls {
        call(command, &format!("{}-{number}", lesson.pods[plug.pod]), &netns, &plug.name, &config)?;
    }
    Ok(began.elapsed())
}

fn config(number: usize, wire: u32) -> Value {
    let [high, low] = u16::try_from(number).unwrap_or(0).to_be_bytes();
    json!({
        "cniVersion": "1.0.0",
        "name": format!("lesson{number}-{wire}"),
        "type": "bridge",
        "bridge": format!("b{number}-{wire}"),
        "forceAddress": false,
        "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "dataDir": LEASES,
            "subnet": format!("10.{}.{low}.0/24", u32::from(high) * 3 + wire),
        },
    })
}

fn call(command: &str, container: &str, netns: &Path, interface: &str, config: &str) -> Result<()> {
    let mut plugin = Command::new(Path::new(PLUGINS).join("bridge"))
        .env_clear()
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", container)
        .env("CNI_NETNS", netns)
        .env("CNI_IFNAME", interface)
        .env("CNI_PATH", PLUGINS)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("run the plugin `bridge`")?;
    plugin.stdin.take().context("standard input")?.write_all(config.as_bytes())?;
    let output = plugin.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{command} {interface} of {container}: {said}");
    if command == "ADD" {
        let result: Value = serde_json::from_str(&said).with_context(|| format!("{command}: {said}"))?;
        ensure!(result["ips"].as_array().is_some_and(|ips| !ips.is_empty()), "an ADD without an address: {said}");
    }
    Ok(())
}

/// Removes the bridges that the plugins left in our own network namespace, and their leases. Nobody's time.
pub(crate) fn clean() -> Result<()> {
    let wire = Wire::open()?;
    let mut left = Vec::new();
    wire.dump(RTM_GETLINK, LINK_HEADER, |link| {
        let index = link.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let info = attributes(link.get(LINK_HEADER..).unwrap_or_default()).find(|(kind, _)| *kind == 18);
        let mut info = info.into_iter().flat_map(|(_, value)| attributes(value));
        if info.any(|(kind, value)| kind == 1 && value == b"bridge\0") {
            left.push(index);
        }
    })?;
    let mut batch = Batch::default();
    for index in left {
        batch.message(RTM_DELLINK, 0, |body| body.link(index, false));
    }
    wire.carry_out(&batch)?;
    if fs::exists(LEASES)? {
        fs::remove_dir_all(LEASES)?;
    }
    Ok(())
}
