//! What the kernel shall look like: the devices that follow from an intent.

use ipnetwork::IpNetwork;

use super::{
    bridge::{AGEING_SECONDS, BridgeOptions, BridgePort, L2Profile},
    check::segment::{Plug, Segment, plugs},
    if_name::IfName,
    intent::{Intent, NicKey, PodKey},
    mac::Mac,
    mtu::Mtu,
    name::{ElementName, PodUid, TopologyKey},
    order::natural,
    queue::Queue,
    spec::{
        End, InterfaceId, InterfaceSpec, IpamSpec, LinkMode, MacvlanMode, PodOwner, RouteSpec, Target, TopologySpec,
    },
    uplink::{Join, Uplink, UplinkSpec},
    vlans::PortVlans,
};

/// The devices of one topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Whose they are.
    pub key: TopologyKey,
    /// Bridges, by name.
    pub bridges: Vec<BridgeDevice>,
    /// NICs in the order in which they are made.
    pub nics: Vec<Nic>,
    /// Ways onto the node's network, by device name.
    pub uplinks: Vec<Uplink>,
}

/// A bridge device in the panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeDevice {
    /// Its element.
    pub name: ElementName,
    /// Its MTU.
    pub mtu: Mtu,
    /// Its MAC.
    pub mac: Mac,
    /// Its options.
    pub options: BridgeOptions,
}

/// A NIC in a pod, with its wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// The interface of the spec that it is.
    pub id: InterfaceId,
    /// Its identity.
    pub key: NicKey,
    /// Whose it is, as the caller wrote it.
    pub owner: PodOwner,
    /// This incarnation of the pod and no other.
    pub uid: Option<PodUid>,
    /// Creation order within the pod.
    pub order: u16,
    /// Its MAC.
    pub mac: Mac,
    /// Its MTU. `None`: the parent device's.
    pub mtu: Option<Mtu>,
    /// Its addresses.
    pub addresses: Vec<IpNetwork>,
    /// Its routes, gateways filled in.
    pub routes: Vec<RouteSpec>,
    /// What it is wired to.
    pub wire: Wire,
    /// What frames towards it wait in.
    pub queue: Queue,
    /// Whether checksums of frames towards it may be left unfinished.
    pub tx_checksum: bool,
}

/// What a NIC is wired to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// A port of a bridge.
    Bridge {
        /// Which.
        bridge: ElementName,
        /// The options of its port.
        port: BridgePort,
        /// Its VLANs, where the bridge tells them apart.
        vlans: Option<PortVlans>,
        /// Spanning tree decides whether the port forwards.
        stp: bool,
        /// The cable is plugged.
        up: bool,
    },
    /// A port stitched to another one.
    Stitch {
        /// The NIC at the other end.
        far: NicKey,
        /// The cable is plugged.
        up: bool,
    },
    /// The other end of a veth pair is a NIC.
    Direct {
        /// The NIC at the other end.
        far: NicKey,
    },
    /// A port stitched to an uplink.
    Uplink {
        /// What that leads to.
        spec: UplinkSpec,
        /// Its device name in the panel.
        device: String,
        /// The cable is plugged.
        up: bool,
    },
    /// A macvlan on a device of the node.
    Device {
        /// Which.
        parent: IfName,
        /// How they see each other.
        mode: MacvlanMode,
    },
}

impl Wire {
    /// Whether the NIC has a port in the panel.
    pub fn has_port(&self) -> bool {
        matches!(self, Self::Bridge { .. } | Self::Stitch { .. } | Self::Uplink { .. })
    }

    /// The bridge that it leads to.
    pub fn bridge(&self) -> Option<&ElementName> {
        match self {
            Self::Bridge { bridge, .. } => Some(bridge),
            Self::Stitch { .. } | Self::Direct { .. } | Self::Uplink { .. } | Self::Device { .. } => None,
        }
    }
}

impl Desired {
    /// Nothing at all: what a deleted topology looks like.
    pub fn nothing(key: TopologyKey) -> Self {
        Self { key, bridges: Vec::new(), nics: Vec::new(), uplinks: Vec::new() }
    }

    /// Whether nothing at all is desired.
    pub fn is_nothing(&self) -> bool {
        self.bridges.is_empty() && self.nics.is_empty()
    }

    /// Whether a port finishes checksums: only then is looked at them.
    pub fn finishes_checksums(&self) -> bool {
        self.nics.iter().any(|nic| !nic.tx_checksum)
    }

    /// Whether a NIC of a pod is desired.
    pub fn has_pod(&self, pod: &PodKey) -> bool {
        let start = self.nics.partition_point(|nic| nic.key.pod < *pod);
        self.nics.get(start).is_some_and(|nic| nic.key.pod == *pod)
    }

    /// The NIC of an identity.
    pub fn nic(&self, key: &NicKey) -> Option<&Nic> {
        let start = self.nics.partition_point(|nic| nic.key.pod < key.pod);
        self.nics[start..].iter().take_while(|nic| nic.key.pod == key.pod).find(|nic| nic.key == *key)
    }
}

/// Follows from the spec and what was assigned, and from nothing else.
pub fn desired(intent: &Intent) -> Desired {
    let spec = &intent.spec;
    let mut bridges: Vec<BridgeDevice> = spec.bridges.iter().map(|b| bridge_device(&spec.key, b)).collect();
    bridges.sort_by(|x, y| x.name.cmp(&y.name));
    let mut nics: Vec<Nic> = plugs(spec)
        .into_iter()
        .enumerate()
        .filter_map(|(position, plug)| {
            let assigned = intent.assigned.get(&plug.id)?;
            let interface = plug.interface;
            Some(Nic {
                key: assigned.nic.clone(),
                owner: interface.owner.clone(),
                uid: interface.uid.clone(),
                order: interface.order,
                mac: assigned.mac,
                mtu: mtu_of(spec, &plug),
                tx_checksum: interface.tx_checksum,
                queue: queue_of(spec, &plug, position),
                addresses: assigned.addresses.clone(),
                routes: routes_of(plug.ipam, interface),
                wire: wire_of(intent, &plug, position)?,
                id: plug.id,
            })
        })
        .collect();
    nics.sort_by(|x, y| {
        (&x.key.pod, x.order)
            .cmp(&(&y.key.pod, y.order))
            .then_with(|| natural(x.key.name.as_str(), y.key.name.as_str()))
    });
    let uplinks = uplinks_of(intent, &nics);
    Desired { key: spec.key.clone(), bridges, nics, uplinks }
}

/// Those of bridges and those of attachments.
fn uplinks_of(intent: &Intent, nics: &[Nic]) -> Vec<Uplink> {
    let spec = &intent.spec;
    let id = |element: &ElementName| InterfaceId { element: element.clone(), end: End::Only };
    let of_bridges = spec.bridges.iter().filter_map(|bridge| {
        let vlans = bridge.vlan_aware.then(PortVlans::all);
        let join = Join::Bridge(bridge.name.clone(), bridge.l2_profile.port(bridge.stp), vlans);
        Some(Uplink::new(&spec.key, id(&bridge.name), bridge.uplink.clone()?, join))
    });
    let of_nics = nics.iter().filter_map(|nic| match &nic.wire {
        Wire::Uplink { spec: uplink, .. } => {
            Some(Uplink::new(&spec.key, nic.id.clone(), uplink.clone(), Join::Nic(nic.key.clone())))
        }
        _ => None,
    });
    let mut uplinks: Vec<Uplink> = of_bridges.chain(of_nics).collect();
    uplinks.sort_by(|x, y| x.device.cmp(&y.device));
    uplinks
}

fn bridge_device(key: &TopologyKey, bridge: &super::spec::BridgeSpec) -> BridgeDevice {
    // A hub forgets at once what its ports learnt before it was one.
    let ageing = bridge.ageing.unwrap_or(if bridge.l2_profile == L2Profile::Hub { 0 } else { AGEING_SECONDS });
    BridgeDevice {
        options: BridgeOptions {
            stp: bridge.stp,
            mcast_snooping: bridge.mcast_snooping,
            vlan_filtering: bridge.vlan_aware,
            ageing: ageing * 100,
        },
        name: bridge.name.clone(),
        mtu: bridge.mtu.unwrap_or_default(),
        mac: bridge.mac.unwrap_or_else(|| derived_bridge_mac(key, &bridge.name)),
    }
}

/// The MAC of a bridge for which none was asked.
pub(super) fn derived_bridge_mac(key: &TopologyKey, bridge: &ElementName) -> Mac {
    Mac::derived(&["bridge", key.namespace.as_str(), key.name.as_str(), bridge.as_str()])
}

/// The MTU of an interface: its own, else that of its wire.
pub(super) fn mtu_of(spec: &TopologySpec, plug: &Plug<'_>) -> Option<Mtu> {
    plug.interface.mtu.or_else(|| match plug.segment? {
        Segment::Link(i) => Some(spec.links[i].a.mtu.or(spec.links[i].b.mtu).unwrap_or_default()),
        Segment::Bridge(i) => Some(spec.bridges[i].mtu.unwrap_or_default()),
        Segment::Device(_) | Segment::Vlan(..) => None,
    })
}

/// What frames towards the interface at this position in `plugs` wait in.
fn queue_of(spec: &TopologySpec, plug: &Plug<'_>, position: usize) -> Queue {
    let impairment = match plug.segment {
        Some(Segment::Link(i)) if plug.id.end == End::A => Some(&spec.links[i].b_to_a),
        Some(Segment::Link(i)) => Some(&spec.links[i].a_to_b),
        Some(Segment::Bridge(_) | Segment::Device(_) | Segment::Vlan(..)) => {
            spec.attachments.get(position - 2 * spec.links.len()).map(|a| &a.to_interface)
        }
        None => None,
    };
    impairment.map(|impairment| Queue::of(impairment, mtu_of(spec, plug).unwrap_or_default())).unwrap_or_default()
}

/// The routes of an interface: its own, then those of the IPAM with the gateway of their family.
fn routes_of(ipam: Option<&IpamSpec>, interface: &InterfaceSpec) -> Vec<RouteSpec> {
    let mut routes = interface.routes.clone();
    for route in ipam.iter().flat_map(|ipam| &ipam.routes) {
        let via = route.via.or_else(|| {
            let subnets = ipam.iter().flat_map(|ipam| &ipam.subnets);
            let mut same = subnets.filter(|s| s.cidr.is_ipv4() == route.destination.is_ipv4());
            same.next().and_then(super::ipam::gateway)
        });
        // The gateway itself does not route by itself.
        if interface.addresses.iter().any(|own| Some(own.ip()) == via) {
            continue;
        }
        if !routes.iter().any(|own| route_identity(own) == route_identity(route)) {
            routes.push(RouteSpec { via, ..route.clone() });
        }
    }
    routes
}

/// What the kernel tells the routes of a pod apart by: destination and metric. IPv6 routes without a metric get
/// `IP6_RT_PRIO_USER` of include/uapi/linux/ipv6_route.h.
pub(super) fn route_identity(route: &RouteSpec) -> (IpNetwork, u32) {
    const IP6_RT_PRIO_USER: u32 = 1024;
    match route.destination {
        IpNetwork::V6(_) if route.metric == 0 => (route.destination, IP6_RT_PRIO_USER),
        _ => (route.destination, route.metric),
    }
}

/// The wire of the interface at this position in `plugs`: links come first, with two of them each.
fn wire_of(intent: &Intent, plug: &Plug<'_>, position: usize) -> Option<Wire> {
    let spec = &intent.spec;
    let attachment = || spec.attachments.get(position - 2 * spec.links.len());
    Some(match plug.segment? {
        Segment::Link(i) => {
            let end = if plug.id.end == End::A { End::B } else { End::A };
            let far = intent.assigned.get(&InterfaceId { element: plug.id.element.clone(), end })?.nic.clone();
            match spec.links[i].mode {
                LinkMode::Stitched => Wire::Stitch { far, up: spec.links[i].up },
                LinkMode::Direct => Wire::Direct { far },
            }
        }
        Segment::Bridge(i) => {
            let (bridge, attachment) = (&spec.bridges[i], attachment()?);
            Wire::Bridge {
                bridge: bridge.name.clone(),
                port: BridgePort {
                    hairpin: attachment.hairpin.unwrap_or(bridge.hairpin),
                    isolated: attachment.isolated.unwrap_or(bridge.isolated),
                    flood: attachment.flood.unwrap_or(true),
                    mcast_flood: attachment.mcast_flood.unwrap_or(true),
                    ..bridge.l2_profile.port(bridge.stp)
                },
                vlans: bridge.vlan_aware.then(|| PortVlans::asked(attachment.vlan.as_ref())),
                stp: bridge.stp,
                up: attachment.up,
            }
        }
        Segment::Device(_) | Segment::Vlan(..) => {
            let attachment = attachment()?;
            match &attachment.target {
                Target::Device(device) => Wire::Device { parent: device.parent.clone(), mode: device.mode },
                Target::Uplink(target) => {
                    let spec = target.uplink.clone();
                    let device = Uplink::device_name(&attachment.name, &spec);
                    Wire::Uplink { spec, device, up: attachment.up }
                }
                Target::Bridge(_) => return None,
            }
        }
    })
}
