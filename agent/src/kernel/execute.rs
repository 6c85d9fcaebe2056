//! Carries out steps: as few system calls as the order of the steps allows.

mod births;
mod index;
mod settle;
mod uplinks;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    sync::Arc,
};

use crate::domain::{
    device::bridge_device_name,
    intent::{NicKey, PodKey},
    step::Step,
};

use super::{
    KernelError, StepFailed, bridge_vlan, ethtool, inet, link, observe, queue, retire,
    site::{LinuxSite, PanelDoor},
    socket::{Request, RouteSocket},
    stitch, uplink,
};

/// Indexes in panels begin behind it: far from those that NICs have in their pods. A device with the index of its other end is
/// taken for one that has none, and linkwatch looks at such only once a second (`linkwatch_urgent_event` of
/// net/core/link_watch.c).
const LOW: u32 = 1 << 16;

/// Indexes from here on are not continued: the kernel takes none above `i32::MAX`.
const HIGH: u32 = 1 << 30;

/// The socket that a request goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Door {
    Panel,
    Pod(PodKey),
    Node,
}

/// A request and the step that it is part of.
struct Job {
    at: usize,
    request: Request,
    /// The object may be gone already.
    forgiving: bool,
}

pub(super) struct Executor<'a> {
    site: &'a mut LinuxSite,
    /// Indexes of bridges and ports in the panel.
    panel: BTreeMap<String, u32>,
    /// Indexes that are taken there.
    used: BTreeSet<u32>,
    next_index: u32,
    /// Indexes of NICs in their pods.
    nics: BTreeMap<NicKey, u32>,
    /// Pods whose NICs are all among them.
    known_pods: BTreeSet<PodKey>,
    /// NICs that do not forward, after the wait for them.
    unsettled: BTreeMap<NicKey, KernelError>,
    /// Whether is waited for what the kernel has not looked at yet.
    patient: bool,
    door: Door,
    jobs: Vec<Job>,
    /// Ports that wait for being removed together, with their steps.
    doomed: Vec<(usize, u32)>,
}

type Outcome = Result<(), StepFailed>;

impl<'a> Executor<'a> {
    pub(super) fn new(site: &'a mut LinuxSite) -> Self {
        let mut panel = BTreeMap::new();
        let mut used = BTreeSet::new();
        if let Some(seen) = &site.seen.panel {
            panel.extend(seen.bridges.iter().map(|(name, bridge)| (name.clone(), bridge.index)));
            panel.extend(seen.uplinks.iter().map(|(name, uplink)| (name.clone(), uplink.index)));
            panel.extend(seen.ports.iter().map(|(name, port)| (name.clone(), port.index)));
            used.extend(seen.strangers.iter().map(|(index, _)| *index));
        }
        used.extend(site.spare.iter().map(|(index, _)| *index));
        // Above ours, so that indexes ascend; somebody else's choice of a high one does not use them up.
        used.extend(panel.values().copied());
        let unseen = site.part.as_ref().map_or(LOW, |part| part.highest);
        let highest = panel.values().copied().filter(|index| *index < HIGH).max().unwrap_or(LOW);
        let next_index = highest.max(unseen).max(LOW) + 1;
        Self {
            site,
            panel,
            used,
            next_index,
            nics: BTreeMap::new(),
            known_pods: BTreeSet::new(),
            unsettled: BTreeMap::new(),
            patient: true,
            door: Door::Panel,
            jobs: Vec::new(),
            doomed: Vec::new(),
        }
    }

    pub(super) fn run(mut self, steps: &[Step]) -> Outcome {
        let mut waited = 0;
        for (at, step) in steps.iter().enumerate() {
            if !matches!(step, Step::RemovePort { .. }) {
                self.bury()?;
            }
            if matches!(step, Step::Settle(_)) && at >= waited {
                waited = at + self.wait(at, &steps[at..])?;
            }
            if matches!(step.action(), "create" | "remove") {
                // A name may have another index from here on.
                (self.nics, self.known_pods) = <_>::default();
            }
            self.step(at, steps)?;
        }
        self.bury()?;
        self.flush()
    }

    fn step(&mut self, at: usize, steps: &[Step]) -> Outcome {
        match &steps[at] {
            Step::CreatePanel => {
                self.site.create_panel().map_err(failed(at))?;
                self.used.extend(self.site.spare.iter().map(|(index, _)| *index));
                Ok(())
            }
            Step::RemovePanel => self.remove_panel(at),
            Step::CreateBridge(bridge) => self.create_bridge(at, bridge),
            Step::ConfigureBridge(bridge) => {
                let device = bridge_device_name(&bridge.name);
                let index = self.bridge(at, &bridge.name)?;
                let seen = self.site.seen.panel.as_ref().and_then(|panel| panel.bridges.get(&device));
                let filters = seen.is_some_and(|seen| seen.options.vlan_filtering);
                self.add(at, &Door::Panel, link::configure_bridge(&device, index, bridge, filters))
            }
            Step::CreateVeth(nic, bridge) => self.create_veth(at, nic, bridge.as_ref()),
            Step::CreateDirect(a, b) => {
                let far = self.site.pods.get(&b.key.pod).ok_or_else(|| gone(at, &b.key.pod))?;
                let request = link::create_direct(a, b, far.netns.fd().as_fd());
                self.add(at, &Door::Pod(a.key.pod.clone()), request)
            }
            Step::CreateMacvlan { nic, parent, mode } => self.create_macvlan(at, nic, parent, *mode),
            Step::CreateUplink(uplink) => self.create_uplink(at, uplink),
            Step::ConfigureUplink(uplink) => self.configure_uplink(at, uplink),
            Step::JoinUplink(uplink) => self.join_uplink(at, uplink),
            Step::PartUplink(uplink) => self.part_uplink(at, uplink),
            Step::SetPortMtu(nic, mtu) => {
                let index = self.port(at, nic)?;
                self.add(at, &Door::Panel, link::set_mtu(index, *mtu))
            }
            Step::SetMaster(nic, bridge) => {
                let index = self.port(at, nic)?;
                let master = bridge.as_ref().map(|bridge| self.bridge(at, bridge)).transpose()?;
                self.add(at, &Door::Panel, link::set_master(index, master))
            }
            Step::SetBridgePort(nic, port) => {
                let index = self.port(at, nic)?;
                self.add(at, &Door::Panel, link::set_bridge_port(index, *port, comes_up(steps, at)))
            }
            Step::SetPortVlans(nic, vlans) => {
                let index = self.port(at, nic)?;
                bridge_vlan::set(index, vlans).into_iter().try_for_each(|request| self.add(at, &Door::Panel, request))
            }
            Step::Stitch(nic, far) => {
                self.hooks(at, steps)?;
                let (from, to) = (self.port(at, nic)?, self.port(at, far)?);
                self.add(at, &Door::Panel, stitch::redirect(from, to))
            }
            Step::Unstitch(nic) => {
                let index = self.port(at, nic)?;
                self.forgive(at, &Door::Panel, stitch::remove_hook(index))
            }
            Step::Impair(nic, queue) => {
                let index = self.port(at, nic)?;
                for request in queue::impair(index, queue) {
                    self.add(at, &Door::Panel, request)?;
                }
                Ok(())
            }
            Step::SetPortChecksum(nic, on) => {
                let index = self.port(at, nic)?;
                self.flush()?;
                let Some(panel) = &self.site.panel else { return Err(vanished(at, "the panel".to_owned())) };
                ethtool::set_tx_checksum(&panel.netns, index, *on).map_err(failed(at))
            }
            Step::Unimpair(nic) => {
                let index = self.port(at, nic)?;
                self.forgive(at, &Door::Panel, queue::unimpair(index))
            }
            Step::SetPort(..) if at > 0 && comes_up(steps, at - 1) => Ok(()),
            Step::SetPort(nic, up) => {
                let index = self.port(at, nic)?;
                self.add(at, &Door::Panel, link::set_up(index, *up))
            }
            Step::SetMac(nic, mac) => self.inside(at, nic, |index| link::set_mac(index, *mac)),
            Step::SetMtu(nic, mtu) => self.inside(at, nic, |index| link::set_mtu(index, *mtu)),
            Step::BringUp(nic) => self.inside(at, nic, |index| link::set_up(index, true)),
            Step::AddAddress(nic, address) => self.inside(at, nic, |index| inet::add_address(index, *address)),
            Step::RemoveAddress(nic, address) => self.outside(at, nic, |index| inet::remove_address(index, *address)),
            Step::AddRoute(nic, route) => self.inside(at, nic, |index| inet::add_route(index, route)),
            Step::RemoveRoute(nic, route) => self.outside(at, nic, |index| inet::remove_route(index, route)),
            Step::Settle(nic) => self.settled(at, nic),
            Step::Mark(nic, altname) => self.inside(at, nic, |index| link::add_altname(index, altname)),
            Step::Unmark(nic, altname) => self.outside(at, nic, |index| link::remove_altname(index, altname)),
            Step::RemovePort { index, .. } => {
                self.panel.retain(|_, known| known != index);
                self.doomed.push((at, *index));
                Ok(())
            }
            Step::RemoveNic(nic, index) => self.forgive(at, &Door::Pod(nic.pod.clone()), link::remove(*index)),
            Step::RemoveUplink(device, index) => {
                self.panel.remove(device);
                self.forgive(at, &Door::Panel, uplink::deafen(*index))?;
                self.forgive(at, &Door::Panel, link::remove(*index))
            }
            Step::RemoveBridge(_, index) | Step::RemoveStranger(_, index) => {
                self.forgive(at, &Door::Panel, link::remove(*index))
            }
        }
    }

    /// Makes the hooks of all stitches from here on, where this is the first of them. The first filter at a hook that was made
    /// after the last RCU grace period waits for one (`mini_qdisc_pair_swap`): so it is one wait for all of them, not one for each.
    fn hooks(&mut self, at: usize, steps: &[Step]) -> Outcome {
        let is_stitch = |step: &&Step| matches!(step, Step::Stitch(..));
        if steps[..at].last().as_ref().is_some_and(is_stitch) {
            return Ok(());
        }
        for (at, step) in (at..).zip(steps[at..].iter().take_while(is_stitch)) {
            let Step::Stitch(nic, _) = step else { continue };
            let index = self.port(at, nic)?;
            // That of a former stitch goes first, with its filter.
            self.forgive(at, &Door::Panel, stitch::remove_hook(index))?;
            self.add(at, &Door::Panel, stitch::add_hook(index))?;
        }
        Ok(())
    }

    /// Removes the ports that wait for it, all in one message where there are several.
    fn bury(&mut self) -> Outcome {
        let doomed = std::mem::take(&mut self.doomed);
        match doomed.as_slice() {
            [] => return Ok(()),
            [(at, index)] => self.forgive(*at, &Door::Panel, link::remove(*index))?,
            [.., (last, _)] => {
                for (at, index) in &doomed {
                    self.forgive(*at, &Door::Panel, link::set_group(*index, link::DOOMED_GROUP))?;
                }
                self.forgive(*last, &Door::Panel, link::remove_group(link::DOOMED_GROUP))?;
            }
        }
        self.flush()
    }

    fn remove_panel(&mut self, at: usize) -> Outcome {
        self.flush()?;
        let Some(panel) = self.site.panel.take() else { return Ok(()) };
        let cookie = panel.socket.cookie();
        self.site.ear.dismiss(cookie);
        retire::retire(&self.site.dir, &self.site.park, &self.site.panel_name, cookie).map_err(failed(at))
    }

    fn inside(&mut self, at: usize, nic: &NicKey, request: impl FnOnce(u32) -> Request) -> Outcome {
        let index = self.nic(at, nic)?;
        self.add(at, &Door::Pod(nic.pod.clone()), request(index))
    }

    fn outside(&mut self, at: usize, nic: &NicKey, request: impl FnOnce(u32) -> Request) -> Outcome {
        let index = self.nic(at, nic)?;
        self.forgive(at, &Door::Pod(nic.pod.clone()), request(index))
    }

    fn add(&mut self, at: usize, door: &Door, request: Request) -> Outcome {
        self.push(door, Job { at, request, forgiving: false })
    }

    fn forgive(&mut self, at: usize, door: &Door, request: Request) -> Outcome {
        self.push(door, Job { at, request, forgiving: true })
    }

    fn push(&mut self, door: &Door, job: Job) -> Outcome {
        if self.door != *door {
            self.flush()?;
            self.door = door.clone();
        }
        self.jobs.push(job);
        Ok(())
    }

    /// Sends what has gathered.
    fn flush(&mut self) -> Outcome {
        let jobs = std::mem::take(&mut self.jobs);
        let Some(first) = jobs.first().map(|job| job.at) else { return Ok(()) };
        let lanes = Arc::clone(&self.site.lanes);
        let socket = self.socket(first)?;
        let (tags, requests): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| ((job.at, job.forgiving), job.request)).unzip();
        let lane = lanes.enter();
        let answers = socket.batch(requests).map_err(failed(first))?;
        drop(lane);
        for ((at, forgiving), answer) in tags.into_iter().zip(answers) {
            match answer {
                Err(error) if !(forgiving && removed_already(&error)) => return Err(failed(at)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn socket(&mut self, at: usize) -> Result<&mut RouteSocket, StepFailed> {
        match &self.door {
            Door::Panel => match &mut self.site.panel {
                Some(PanelDoor { socket, .. }) => Ok(socket),
                None => Err(vanished(at, "the panel".to_owned())),
            },
            Door::Pod(key) => match self.site.pods.get_mut(key) {
                Some(pod) => Ok(&mut pod.socket),
                None => Err(gone(at, key)),
            },
            Door::Node => Ok(&mut self.site.node),
        }
    }

    /// The index of a NIC: of a new one the kernel chose it, so that indexes of a pod ascend.
    fn nic(&mut self, at: usize, nic: &NicKey) -> Result<u32, StepFailed> {
        if let Some(index) = self.nics.get(nic) {
            return Ok(*index);
        }
        self.flush()?;
        let pod = self.site.pods.get_mut(&nic.pod).ok_or_else(|| gone(at, &nic.pod))?;
        if self.known_pods.insert(nic.pod.clone()) {
            // All of them at once: most often the others are asked for next.
            for (name, index) in observe::indexes(&mut pod.socket).map_err(failed(at))? {
                self.nics.insert(NicKey { pod: nic.pod.clone(), name }, index);
            }
        }
        if let Some(index) = self.nics.get(nic) {
            return Ok(*index);
        }
        let index = observe::index_of(&mut pod.socket, nic.name.as_str()).map_err(failed(at))?;
        self.nics.insert(nic.clone(), index);
        Ok(index)
    }
}

/// Whether the bridge port whose options are set by this step comes up by the next one: both go in one message.
fn comes_up(steps: &[Step], at: usize) -> bool {
    matches!(&steps[at..], [Step::SetBridgePort(nic, _), Step::SetPort(next, true), ..] if nic == next)
}

/// What is to be removed is not there: an absent hook is EINVAL to the kernel, an absent qdisc ENOENT.
pub(super) fn removed_already(error: &KernelError) -> bool {
    error.is_gone()
        || matches!(error, KernelError::Netlink { operation: "RTM_DELQDISC", errno: nix::errno::Errno::EINVAL, .. })
}

fn failed(at: usize) -> impl FnOnce(KernelError) -> StepFailed {
    move |source| StepFailed { at, source }
}

fn vanished(at: usize, what: String) -> StepFailed {
    failed(at)(KernelError::Vanished(what))
}

fn gone(at: usize, pod: &PodKey) -> StepFailed {
    vanished(at, format!("pod {pod}"))
}
