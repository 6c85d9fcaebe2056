//! Mounts and files that containerd needs.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

use super::{IMAGE, SOCKET, cgroups::Cgroups};
use crate::lab::Lab;

/// Mounts and files.
pub(super) fn prepare(lab: &Lab) -> Result<Cgroups> {
    // libcni keeps its results in /var/lib/cni, whatever the configuration says.
    mount(Some("tmpfs"), "/var/lib", Some("tmpfs"), MsFlags::empty(), None::<&str>).context("an empty /var/lib")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>)
        .context("share mounts")?;
    fs::create_dir_all("/run/containerd")?;
    let at = lab.directory().display().to_string();
    fs::create_dir_all(format!("{at}/cni"))?;
    // A directory of its own: plugins are installed into it.
    let plugins = format!("{at}/cni-bin");
    fs::create_dir_all(&plugins)?;
    for plugin in fs::read_dir("/usr/lib/cni").context("CNI plugins")? {
        let plugin = plugin?;
        symlink(plugin.path(), Path::new(&plugins).join(plugin.file_name()))?;
    }
    let network = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,
"ipam":{"type":"host-local","dataDir":"/run/cni-ipam","ranges":[[{"subnet":"10.88.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}"#;
    fs::write(format!("{at}/cni/10-pods.conflist"), network)?;
    let config = format!(
        r#"version = 2
root = "{at}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[debug]
  level = "warn"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{at}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{at}/cni-bin"
    conf_dir = "{at}/cni"
"#
    );
    fs::write(format!("{at}/containerd.toml"), config)?;
    Cgroups::mount()
}
