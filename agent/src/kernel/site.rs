//! The real kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{ErrorKind, Write},
    os::fd::AsFd,
    sync::Arc,
};

use crate::{
    domain::{
        if_name::IfName,
        intent::PodKey,
        observed::{Observed, PodView},
        step::Step,
    },
    metrics::Metrics,
};

use super::{
    Ear, Kernel, KernelError, Moment, Netns, NetnsDir, NetnsError, PanelPart, Place, PodDoor, Site, SiteView,
    StepFailed,
    begun::{BegunPanels, PanelAhead},
    ethtool,
    execute::Executor,
    lanes::Lanes,
    netns::{own_cookie, own_netns},
    observe,
    park::Park,
    retire,
    socket::RouteSocket,
};

/// The kernel of the node that the agent runs on.
#[derive(Debug, Clone)]
pub struct LinuxKernel {
    dir: NetnsDir,
    ear: Arc<Ear>,
    park: Arc<Park>,
    begun: Arc<BegunPanels>,
    lanes: Arc<Lanes>,
    metrics: Metrics,
}

impl LinuxKernel {
    /// The kernel, with panels in this directory.
    ///
    /// # Errors
    ///
    /// It lets nobody listen: its words.
    pub fn new(dir: NetnsDir) -> Result<Self, KernelError> {
        Ok(Self {
            dir,
            ear: Arc::new(Ear::open()?),
            park: Arc::default(),
            begun: Arc::default(),
            lanes: Arc::default(),
            metrics: Metrics::default(),
        })
    }

    /// Keeps so many panels that are not needed, with their bridges, for the next topology. Without it: none.
    pub fn parking(self, most: usize) -> Self {
        Self { park: Arc::new(Park::new(most)), ..self }
    }

    /// The same, and what it is asked counts here.
    pub fn measured(self, metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), ..self }
    }
}

impl Kernel for LinuxKernel {
    fn open(&self, view: SiteView) -> Result<Box<dyn Site>, KernelError> {
        Ok(Box::new(LinuxSite::open(self, view)?))
    }

    fn panel_ahead(&self) -> Option<PanelAhead> {
        (!self.park.has_free()).then(|| self.begun.expect())
    }

    fn ear(&self) -> Arc<Ear> {
        Arc::clone(&self.ear)
    }

    fn reap(&self) -> Result<(), KernelError> {
        retire::reap(&self.dir, &self.park)
    }

    fn clear(&self) -> Result<(), KernelError> {
        self.park.give_up();
        self.begun.give_up();
        retire::reap(&self.dir, &Park::default())
    }
}

/// Sockets and namespaces of one converge.
pub(super) struct LinuxSite {
    metrics: Metrics,
    pub(super) dir: NetnsDir,
    pub(super) ear: Arc<Ear>,
    pub(super) park: Arc<Park>,
    begun: Arc<BegunPanels>,
    pub(super) lanes: Arc<Lanes>,
    looked_at: Moment,
    pub(super) panel_name: String,
    pub(super) panel: Option<PanelDoor>,
    /// Bridges of the panel that wait for being used: index and name.
    pub(super) spare: Vec<(u32, String)>,
    pub(super) pods: BTreeMap<PodKey, OpenPod>,
    pub(super) node: RouteSocket,
    closed: BTreeMap<PodKey, PodView>,
    routes_of: BTreeSet<PodKey>,
    direct: BTreeSet<(PodKey, PodKey)>,
    checksums: bool,
    devices: BTreeSet<IfName>,
    /// The part of the panel that is looked at.
    pub(super) part: Option<PanelPart>,
    /// What was last observed: indexes of what is there.
    pub(super) seen: Observed,
}

/// A panel that is open.
pub(super) struct PanelDoor {
    pub(super) netns: Netns,
    pub(super) socket: RouteSocket,
}

/// A pod that is open.
pub(super) struct OpenPod {
    pub(super) netns: Netns,
    pub(super) socket: RouteSocket,
    sandbox: crate::domain::observed::SandboxId,
}

impl LinuxSite {
    fn open(kernel: &LinuxKernel, view: SiteView) -> Result<Self, KernelError> {
        let (dir, ear, metrics) = (kernel.dir.clone(), Arc::clone(&kernel.ear), kernel.metrics.clone());
        let panel = PanelDoor::open(&dir, &view.panel, &ear, &metrics)?;
        if panel.is_none() {
            kernel.begun.begin();
        }
        let mut pods = BTreeMap::new();
        let mut closed = BTreeMap::new();
        for (key, door) in view.pods {
            match door {
                PodDoor::Open(netns, sandbox) => {
                    let socket = netns.socket()?.measured(&metrics);
                    ear.attend(netns.fd(), netns.cookie(), Place::Pod(key.clone()))?;
                    pods.insert(key, OpenPod { netns, socket, sandbox });
                }
                PodDoor::Absent(reason) => {
                    closed.insert(key, PodView::Absent(reason));
                }
                PodDoor::Refused(refusal) => {
                    closed.insert(key, PodView::Refused(refusal));
                }
            }
        }
        if !view.devices.is_empty() {
            ear.attend(own_netns()?.as_fd(), own_cookie()?, Place::Node)?;
        }
        Ok(Self {
            dir,
            ear,
            park: Arc::clone(&kernel.park),
            begun: Arc::clone(&kernel.begun),
            lanes: Arc::clone(&kernel.lanes),
            looked_at: Moment::default(),
            panel_name: view.panel,
            panel,
            spare: Vec::new(),
            pods,
            node: RouteSocket::open()?.measured(&metrics),
            metrics,
            closed,
            routes_of: view.routes_of,
            direct: view.direct,
            checksums: view.checksums,
            devices: view.devices,
            part: view.part,
            seen: Observed::default(),
        })
    }

    /// Makes the panel, of a parked one where there is one: silent by itself, with bridges that no packet filter looks into.
    pub(super) fn create_panel(&mut self) -> Result<(), KernelError> {
        self.dir.remove_leftover(&self.panel_name)?;
        if let Some(parked) = self.park.take(&self.dir, &self.panel_name)? {
            self.panel = Some(PanelDoor::enter(parked.netns, &self.panel_name, &self.ear, &self.metrics)?);
            self.spare = parked.bridges;
            return Ok(());
        }
        let netns = self.dir.name(self.begun.take()?, &self.panel_name)?;
        self.panel = Some(PanelDoor::enter(netns, &self.panel_name, &self.ear, &self.metrics)?);
        Ok(())
    }
}

impl Site for LinuxSite {
    fn observe(&mut self) -> Result<Observed, KernelError> {
        self.looked_at = self.ear.mark()?;
        let mut observed = Observed { panel: None, pods: self.closed.clone(), ..Observed::default() };
        if let Some(panel) = &mut self.panel {
            let only = self.part.as_ref().map(|part| &part.devices);
            let (mut seen, spare) = observe::panel(&mut panel.socket, &self.pods, &mut self.node, only)?;
            self.spare = spare;
            if self.checksums && !seen.ports.is_empty() {
                let checksums = ethtool::tx_checksums(&panel.netns)?;
                for port in seen.ports.values_mut() {
                    port.tx_checksum = checksums.get(&port.index).copied().unwrap_or(true);
                }
            }
            observed.panel = Some(seen);
        }
        let nsids = observe::Neighbours::of(&mut self.pods, &self.direct, !self.devices.is_empty())?;
        for (key, pod) in &mut self.pods {
            let state = observe::pod(&mut pod.socket, pod.sandbox.clone(), key, &nsids, self.routes_of.contains(key))?;
            observed.pods.insert(key.clone(), PodView::Present(state));
        }
        for device in &self.devices {
            if let Some(found) = observe::device(&mut self.node, device.as_str())? {
                observed.devices.insert(device.to_string(), found.index_and_mtu);
                observed.node_bridges.extend(found.is_bridge.then(|| device.to_string()));
            }
        }
        self.seen = observed.clone();
        Ok(observed)
    }

    fn looked_at(&self) -> Moment {
        self.looked_at
    }

    fn execute(&mut self, steps: &[Step]) -> Result<(), StepFailed> {
        if let Some(panel) = self.panel.as_ref().filter(|_| !steps.contains(&Step::RemovePanel)) {
            panel.netns.visit(silence).flatten().map_err(|source| StepFailed { at: 0, source })?;
        }
        Executor::new(self).run(steps)
    }
}

impl PanelDoor {
    fn open(dir: &NetnsDir, name: &str, ear: &Ear, metrics: &Metrics) -> Result<Option<Self>, KernelError> {
        let netns = match Netns::open(&dir.path(name)) {
            Ok(netns) => netns,
            // A file that never became a mount is none: who makes the panel takes it away first.
            Err(NetnsError::NotNetns { .. } | NetnsError::Absent(_)) => return Ok(None),
            Err(NetnsError::Kernel(error)) => return Err(error),
            Err(NetnsError::Own(path)) => return Err(KernelError::call("open", path, nix::errno::Errno::EINVAL)),
        };
        Self::enter(netns, name, ear, metrics).map(Some)
    }

    fn enter(netns: Netns, name: &str, ear: &Ear, metrics: &Metrics) -> Result<Self, KernelError> {
        let socket = netns.socket()?.measured(metrics);
        ear.attend(netns.fd(), netns.cookie(), Place::Panel(name.to_owned()))?;
        Ok(Self { netns, socket })
    }
}

/// Settings of a panel: no IPv6, so that nothing speaks into the lab by itself and making devices stays cheap, and no
/// packet filter over bridges.
const SETTINGS: [(&str, &str); 5] = [
    ("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"),
    ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
    ("/proc/sys/net/bridge/bridge-nf-call-iptables", "0"),
    ("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0"),
    ("/proc/sys/net/bridge/bridge-nf-call-arptables", "0"),
];

/// Puts the settings of a panel right, before each work on it unless it goes: it costs little and heals.
pub(super) fn silence() -> Result<(), KernelError> {
    // To write what is there already would wait for RTNL.
    let differs = |(path, value): &(&str, &str)| fs::read_to_string(path).is_ok_and(|now| now.trim() != *value);
    SETTINGS.into_iter().filter(differs).try_for_each(write)
}

/// The same for a new panel, in which everything differs. What is written to `all` is that of `default` too.
pub(super) fn silence_new() -> Result<(), KernelError> {
    SETTINGS.into_iter().filter(|(path, _)| !path.contains("/default/")).try_for_each(write)
}

/// A kernel without IPv6 or br_netfilter has no such file and nothing to turn off.
fn write((path, value): (&str, &str)) -> Result<(), KernelError> {
    match File::options().write(true).open(path).and_then(|mut file| file.write_all(value.as_bytes())) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(KernelError::File { operation: "write", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
