//! `podwire-agent recover`.

use std::io::Write;

use clap::Args;

use crate::{
    domain::{
        adopt::{Adopted, Fate, Left},
        intent::Intent,
        name::TopologyKey,
        spec::{End, InterfaceId, LinkMode, Target},
    },
    panel::{Recovery, Verdict},
};

use super::{
    CommandError, Place,
    state::{self, State},
    table,
};

/// Adopts what is in the kernel.
#[derive(Debug, Clone, Args)]
pub struct Recover {
    #[command(flatten)]
    pub(super) place: Place,

    /// Does what is shown: sets the old state aside and writes a new one.
    #[arg(long)]
    yes: bool,

    /// A topology to adopt, repeatable. Default: all of them.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = topology)]
    pub(super) adopt: Vec<TopologyKey>,

    /// A topology not to adopt, repeatable: the agent removes it when it starts.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = topology)]
    pub(super) remove: Vec<TopologyKey>,
}

fn topology(text: &str) -> Result<TopologyKey, String> {
    let (namespace, name) = text.split_once('/').ok_or("it is not NAMESPACE/NAME, as in `lessons/12`")?;
    let namespace = namespace.parse().map_err(|error| format!("the namespace: {error}"))?;
    Ok(TopologyKey { namespace, name: name.parse().map_err(|error| format!("the name: {error}"))? })
}

impl Recover {
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), CommandError> {
        let Place { state_dir, .. } = &self.place;
        let _claims = self.place.claim()?;
        let (dir, kernel, pods) = (self.place.dir(), self.place.kernel()?, self.place.pods());
        let shown = state_dir.display();
        let state = |error| CommandError::State(state_dir.clone(), error);
        let why = match state::open(state_dir).map_err(state)? {
            State::Readable(_) => {
                writeln!(out, "The state in {shown} can be read: there is nothing to recover. Start the agent.")?;
                return Ok(());
            }
            State::Unreadable(reason) => Some(reason),
            State::New => None,
        };
        let mut recovery = Recovery::look(&dir, &kernel, pods.as_ref())?;
        match &why {
            Some(reason) => writeln!(out, "The state in {shown} cannot be read: {reason}")?,
            None if recovery.is_empty() && self.adopt.is_empty() && self.remove.is_empty() => {
                writeln!(
                    out,
                    "The state in {shown} is new, and nothing of podwire's is in the kernel: there is nothing to recover."
                )?;
                return Ok(());
            }
            None => writeln!(out, "The state in {shown} is new, and topologies are in the kernel.")?,
        }
        recovery.choose(&self.adopt, &self.remove)?;
        show(out, &recovery)?;
        let unreadable = why.is_some();
        let aside = why.map_or("", |_| "the file that cannot be read is kept beside it under another name; ");
        if !self.yes {
            writeln!(
                out,
                "\nNothing was changed. With --yes, {aside}a new state is written with what is adopted. What is not \
                 adopted goes when the agent starts."
            )?;
            return Ok(());
        }
        let mut anew = state::start_anew(state_dir, unreadable).map_err(state)?;
        let aside = anew.aside.take();
        let count = recovery.write(&anew.store).map_err(|error| CommandError::Store(state_dir.clone(), error))?;
        anew.finish().map_err(state)?;
        if let Some(aside) = aside {
            writeln!(out, "\nThe state that cannot be read lies in {} now.", aside.display())?;
        }
        writeln!(out, "\n{count} topologies are in the new state in {shown}. Start the agent.")?;
        Ok(())
    }
}

fn show(out: &mut impl Write, recovery: &Recovery) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    let mut left = Vec::new();
    for (key, (adopted, verdict)) in &recovery.topologies {
        let Adopted { intent, left: of_topology, .. } = adopted;
        let becomes = match verdict {
            Verdict::Adopt => "adopted",
            Verdict::Remove | Verdict::Empty => "removed",
        };
        if *verdict == Verdict::Empty {
            rows.push([
                key.to_string(),
                String::new(),
                "nothing that can be adopted".to_owned(),
                String::new(),
                becomes.to_owned(),
            ]);
        }
        for [element, kind, interfaces] in elements(intent) {
            rows.push([key.to_string(), element, kind, interfaces, becomes.to_owned()]);
        }
        left.extend(of_topology.iter().map(|each| line(&key.to_string(), each)));
    }
    left.extend(recovery.left.iter().map(|each| line("", each)));
    if !rows.is_empty() {
        writeln!(out)?;
        table::write(out, ["TOPOLOGY", "ELEMENT", "KIND", "INTERFACES", "BECOMES"], &rows)?;
    }
    lefts(out, &left)
}

/// A row of what cannot be adopted.
pub(super) type LeftRow = [String; 4];

pub(super) fn line(topology: &str, left: &Left) -> LeftRow {
    let fate = match left.fate {
        Fate::Removed => "removed",
        Fate::Stays => "left alone",
    };
    [topology.to_owned(), left.what.clone(), fate.to_owned(), left.reason.clone()]
}

pub(super) fn lefts(out: &mut impl Write, left: &[LeftRow]) -> Result<(), CommandError> {
    if !left.is_empty() {
        writeln!(out)?;
        table::write(out, ["TOPOLOGY", "NOT ADOPTED", "BECOMES", "BECAUSE"], left)?;
    }
    Ok(())
}

/// Name, kind and interfaces of each element.
fn elements(intent: &Intent) -> Vec<[String; 3]> {
    let interface = |element: &crate::domain::name::ElementName, end| {
        let assigned = intent.assigned.get(&InterfaceId { element: element.clone(), end });
        assigned.map_or_else(String::new, |assigned| {
            let words = [assigned.nic.to_string(), assigned.mac.to_string()].into_iter();
            words.chain(assigned.addresses.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
        })
    };
    let spec = &intent.spec;
    let bridges = spec.bridges.iter().map(|bridge| {
        let kind = bridge.uplink.as_ref().map_or_else(|| "bridge".to_owned(), |uplink| format!("bridge with {uplink}"));
        [bridge.name.to_string(), kind, String::new()]
    });
    let links = spec.links.iter().map(|link| {
        let kind = match link.mode {
            LinkMode::Stitched => "STITCHED link",
            LinkMode::Direct => "DIRECT link",
        };
        let ends = [End::A, End::B].map(|end| interface(&link.name, end)).join(", ");
        [link.name.to_string(), kind.to_owned(), ends]
    });
    let attachments = spec.attachments.iter().map(|attachment| {
        let kind = match &attachment.target {
            Target::Bridge(bridge) => format!("attachment to bridge {bridge}"),
            Target::Uplink(target) => format!("attachment to {}", target.uplink),
            Target::Device(device) => format!("attachment to device {}", device.parent),
        };
        [attachment.name.to_string(), kind, interface(&attachment.name, End::Only)]
    });
    bridges.chain(links).chain(attachments).collect()
}
