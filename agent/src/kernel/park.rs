//! Panels and bridges that nobody needs for now, kept for the next topology: to remove a bridge takes the kernel 32 ms, to
//! make one and a namespace takes longer than to use them again.
//!
//! What is parked is as new but for names: nothing is in the namespace but bridges without ports, which have the options of a
//! new one. They stay up and keep their names, for to change either the kernel waits for everybody's readers (RCU). It is
//! checked when it is parked and again when it is taken, for the node's owner can reach it meanwhile; what differs is
//! taken down instead. A file named as parked that this agent did not park is of an earlier run, and checked like a
//! retired one.

use std::{
    collections::VecDeque,
    fs, mem,
    os::unix::fs::MetadataExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoBridge, InfoKind},
};

use crate::domain::device::{PANEL_PREFIX, PARKED_PREFIX, RETIRED_PREFIX};

use super::{
    KernelError, Netns, NetnsDir, NetnsError, inet, link, netns::in_scratch, observe::Device, queue, retire,
    site::silence, socket::RouteSocket,
};

/// Bridges that a parked panel keeps; the others are removed.
const BRIDGES: usize = 4;

/// Index of `lo` in every namespace.
const LO: u32 = 1;

/// The parked panels of this agent.
#[derive(Debug, Default)]
pub(super) struct Park {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one that was parked first is taken first: its old name is gone by then.
    free: VecDeque<Parked>,
    /// Files that are being taken: they are nobody's leftovers.
    taken: Vec<String>,
    /// Those of them that nobody needs: the panel has its new name. They go behind the reply, for the kernel waits for all readers
    /// of a mount that goes.
    outlived: Vec<String>,
    /// Panels that were retired and wait for being parked or taken down.
    waiting: Vec<String>,
    /// Nothing else waits than what is known here: the directory, which has thousands of names, need not be read.
    is_known: bool,
    /// How many were parked.
    parked: u64,
    /// What the kernel shows of a bridge that is as new.
    new: Option<Vec<InfoBridge>>,
}

/// A panel that is ready for another topology.
#[derive(Debug)]
pub(super) struct Parked {
    name: String,
    pub(super) netns: Netns,
    /// Its bridges, as they were parked: index and name.
    pub(super) bridges: Vec<(u32, String)>,
}

impl Park {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Whether there is one.
    pub(super) fn has_free(&self) -> bool {
        !self.state().free.is_empty()
    }

    /// A parked panel under a new name, if there is one. `None` also where it is not as it was parked: it is left to be
    /// taken down.
    pub(super) fn take(&self, dir: &NetnsDir, name: &str) -> Result<Option<Parked>, KernelError> {
        let (parked, new) = {
            let mut state = self.state();
            let Some(parked) = state.free.pop_front() else { return Ok(None) };
            state.taken.push(parked.name.clone());
            (parked, state.new.clone().unwrap_or_default())
        };
        let taken = self.name(dir, &parked, &new, name);
        if !matches!(taken, Ok(true)) {
            self.forget(&parked.name);
            // What was retired is waited for; what could not be has its name yet.
            if taken.is_err() {
                self.look_again();
            }
            return taken.map(|_| None);
        }
        self.state().outlived.push(parked.name.clone());
        Ok(Some(parked))
    }

    /// Takes away the names that panels had while they were parked.
    pub(super) fn unname(&self, dir: &NetnsDir) -> Result<(), KernelError> {
        let outlived = mem::take(&mut self.state().outlived);
        let mut done = Ok(());
        for name in outlived {
            match dir.remove(&name) {
                Ok(()) => self.forget(&name),
                Err(error) => {
                    self.state().outlived.push(name);
                    done = Err(error);
                }
            }
        }
        done
    }

    fn forget(&self, name: &str) {
        self.state().taken.retain(|taken| taken != name);
    }

    fn name(&self, dir: &NetnsDir, parked: &Parked, new: &[InfoBridge], name: &str) -> Result<bool, KernelError> {
        let mut socket = parked.netns.socket()?;
        let as_it_was = bridges(&mut socket)?
            .is_some_and(|found| found.len() == parked.bridges.len() && found.iter().all(|bridge| bridge.is_new(new)));
        parked.netns.keep(socket);
        if !as_it_was {
            retire::retire(dir, self, &parked.name, parked.netns.cookie())?;
            return Ok(false);
        }
        dir.name_too(&parked.name, name).map(|()| true)
    }

    /// Parks a retired panel. False: it has to be taken down.
    pub(super) fn park(&self, dir: &NetnsDir, name: &str) -> Result<bool, KernelError> {
        if self.state().free.len() >= self.most {
            return Ok(false);
        }
        let netns = match Netns::open_and(&dir.path(name), silence) {
            Ok((netns, silenced)) => silenced.map(|()| netns)?,
            Err(NetnsError::Kernel(error)) => return Err(error),
            Err(NetnsError::Absent(_) | NetnsError::NotNetns { .. } | NetnsError::Own(_)) => return Ok(false),
        };
        let new = self.as_new()?;
        let mut socket = netns.socket()?;
        let Some(bridges) = tidy(&mut socket, &new)? else { return Ok(false) };
        netns.keep(socket);
        let mut parked = name.to_owned();
        if !name.starts_with(PARKED_PREFIX) {
            // The same panel may have been parked before, under a name that is still on its way out.
            let number = {
                let mut state = self.state();
                state.parked += 1;
                state.parked
            };
            parked = format!("{PARKED_PREFIX}{:x}.{number}", netns.cookie());
            dir.rename(name, &parked)?;
        }
        self.state().free.push_back(Parked { name: parked, netns, bridges });
        Ok(true)
    }

    /// A panel was retired under this name.
    pub(super) fn awaits(&self, name: String) {
        self.state().waiting.push(name);
    }

    /// What waits is not known any more.
    pub(super) fn look_again(&self) {
        self.state().is_known = false;
    }

    /// What waits for being parked or taken down: retired since the last time, or at first whatever is in the directory.
    pub(super) fn retired(&self, dir: &NetnsDir) -> Result<Vec<String>, KernelError> {
        {
            let mut state = self.state();
            let waiting = mem::take(&mut state.waiting);
            if mem::replace(&mut state.is_known, true) {
                return Ok(waiting);
            }
        }
        let names = dir.names()?;
        let strays = self.strays(dir, &names)?;
        Ok(names.into_iter().filter(|name| name.starts_with(RETIRED_PREFIX)).chain(strays).collect())
    }

    /// Parked panels of an earlier run, and those that are not as they were. One that is a topology's by now, of an agent
    /// that was killed while it gave it a name, loses only the name.
    fn strays(&self, dir: &NetnsDir, names: &[String]) -> Result<Vec<String>, KernelError> {
        let mut strays: Vec<String> = names.iter().filter(|name| name.starts_with(PARKED_PREFIX)).cloned().collect();
        {
            let state = self.state();
            strays.retain(|name| !state.taken.contains(name) && !state.free.iter().any(|parked| parked.name == *name));
        }
        if strays.is_empty() {
            return Ok(strays);
        }
        let inode = |name: &String| fs::metadata(dir.path(name)).ok().map(|file| (file.dev(), file.ino()));
        let panels: Vec<_> = names.iter().filter(|name| name.starts_with(PANEL_PREFIX)).filter_map(inode).collect();
        let (used, unused) = strays.into_iter().partition(|name| inode(name).is_some_and(|is| panels.contains(&is)));
        let used: Vec<String> = used;
        used.iter().try_for_each(|name| dir.remove(name))?;
        Ok(unused)
    }

    /// Gives up what is parked: to be taken down like what an earlier run left.
    pub(super) fn give_up(&self) {
        self.state().free.clear();
    }

    /// What the kernel shows of a bridge that was just made, asked for once.
    fn as_new(&self) -> Result<Vec<InfoBridge>, KernelError> {
        if let Some(new) = &self.state().new {
            return Ok(new.clone());
        }
        let new = in_scratch(|| {
            let mut socket = RouteSocket::open()?;
            socket.batch(vec![link::create_parked("new", LO + 1)])?.into_iter().collect::<Result<(), _>>()?;
            let found = bridges(&mut socket)?.unwrap_or_default();
            Ok::<_, KernelError>(found.into_iter().next().map(|bridge| bridge.options).unwrap_or_default())
        })??;
        self.state().new = Some(new.clone());
        Ok(new)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bridge of a panel in which nothing else is.
struct Bridge {
    index: u32,
    name: String,
    up: bool,
    altnames: Vec<String>,
    parked: bool,
    options: Vec<InfoBridge>,
}

impl Bridge {
    fn filters_vlans(&self) -> bool {
        self.options.iter().any(|option| matches!(option, InfoBridge::VlanFiltering(true)))
    }

    fn is_new(&self, new: &[InfoBridge]) -> bool {
        self.up && self.altnames.is_empty() && self.parked && self.options == new
    }
}

/// The bridges of a panel; `None`: something else is there too.
fn bridges(socket: &mut RouteSocket) -> Result<Option<Vec<Bridge>>, KernelError> {
    let dump = socket.dump(&link::get_all())?;
    let mut bridges = Vec::new();
    for message in &dump.messages {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let device = Device::read(message);
        if device.index == LO {
            continue;
        }
        let ours = matches!(device.group, link::GROUP | link::PARKED_GROUP);
        if device.kind != Some(InfoKind::Bridge) || !ours {
            return Ok(None);
        }
        bridges.push(Bridge {
            index: device.index,
            name: device.name.clone(),
            up: device.is_up(),
            parked: device.group == link::PARKED_GROUP,
            options: steady(&device),
            altnames: device.altnames,
        });
    }
    Ok(dump.unparsed.is_empty().then_some(bridges))
}

/// The options of a bridge without what moves by itself: timers, and ids, which follow its MAC.
fn steady(device: &Device) -> Vec<InfoBridge> {
    let moves = |option: &&InfoBridge| {
        matches!(
            option,
            InfoBridge::HelloTimer(_)
                | InfoBridge::TcnTimer(_)
                | InfoBridge::TopologyChangeTimer(_)
                | InfoBridge::GcTimer(_)
                | InfoBridge::RootId(_)
                | InfoBridge::BridgeId(_)
                | InfoBridge::MulticastQuerierState(_)
        )
    };
    device.bridge_options().iter().filter(|option| !moves(option)).cloned().collect()
}

/// Makes a panel as new but for its bridges, which it returns. `None`: it cannot be, there is something else in it.
fn tidy(socket: &mut RouteSocket, new: &[InfoBridge]) -> Result<Option<Vec<(u32, String)>>, KernelError> {
    let Some(found) = bridges(socket)? else { return Ok(None) };
    // What filters VLANs is not made new: it has tables of its own.
    let (filter, mut found): (Vec<_>, Vec<_>) = found.into_iter().partition(Bridge::filters_vlans);
    let surplus = found.split_off(found.len().min(BRIDGES));
    for bridge in filter.iter().chain(&surplus) {
        retire::remove_bridge(socket, bridge.index)?;
    }
    let mut requests = Vec::new();
    for bridge in &found {
        requests.extend(bridge.altnames.iter().map(|altname| link::remove_altname(bridge.index, altname)));
        requests.push(link::park_bridge(bridge.index));
    }
    for answer in socket.batch(requests)? {
        if let Err(error) = answer {
            tracing::debug!(%error, "a panel is taken down instead of being parked");
            return Ok(None);
        }
    }
    let after = bridges(socket)?.unwrap_or_default();
    let as_new = after.len() == found.len() && after.iter().all(|bridge| bridge.is_new(new));
    let bridges = after.into_iter().map(|bridge| (bridge.index, bridge.name)).collect();
    Ok((as_new && is_bare(socket)?).then_some(bridges))
}

/// No addresses but those of `lo`, no queueing disciplines but those that the kernel gives.
fn is_bare(socket: &mut RouteSocket) -> Result<bool, KernelError> {
    let addresses = socket.dump(&inet::get_addresses())?;
    let foreign = addresses.messages.iter().filter_map(inet::address_of).any(|(index, _)| index != LO);
    let disciplines = socket.dump(&queue::get_all())?.disciplines;
    Ok(!foreign && queue::egress_of(&disciplines).is_empty() && queue::hooks_of(&disciplines).is_empty())
}
