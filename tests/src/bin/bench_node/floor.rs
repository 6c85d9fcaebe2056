//! The floor: the objects of a lesson by raw batched netlink, in one process, on one thread.
//!
//! It makes what the agent makes (panel, bridges, ports and their options, NICs with MAC, MTU, addresses and altname)
//! and, as the agent does, looks whether all of it is there and forwards. It knows beforehand what the agent finds out:
//! which pods there are, that nothing is in the way, which indexes are free. It has no store, no API and no listener.

use std::{
    fs::{self, File},
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};

use crate::{
    lesson::{Lesson, Plug, Shape},
    place::{Place, on_thread},
    wire::{
        ADDRESS_HEADER, Batch, LINK_HEADER, NLM_F_CREATE, NLM_F_EXCL, RTM_DELLINK, RTM_GETADDR, RTM_NEWADDR,
        RTM_NEWLINK, RTM_NEWLINKPROP, RTM_NEWQDISC, RTM_NEWTFILTER, RTM_SETLINK, Wire, attributes,
    },
};

const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// Device group of what it makes.
const GROUP: u32 = 77;

/// Indexes of ports begin here.
const FIRST_PORT: u32 = 100;

/// Those of NICs in their pods begin here. A NIC with the index of its port is taken for a device without another end, and
/// its carrier is not urgent to the kernel: linkwatch looks at such once a second (`linkwatch_urgent_event`).
const FIRST_NIC: u32 = 1100;

/// How long the kernel may take until a new port forwards.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes a lesson whose panel is called `panel`; returns how long that took. The thread that does it is there already: on a busy
/// machine a new one waits for its first turn, and nobody has to start one for this.
pub(crate) fn make(place: &Place, panel: &str, lesson: &Lesson) -> Result<Duration> {
    on_thread(|| {
        let began = Instant::now();
        let path = place.path(panel);
        File::create_new(&path)?;
        unshare(CloneFlags::CLONE_NEWNET).context("make the panel")?;
        mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        silence()?;
        let wire = Wire::open()?;
        let pods: Vec<File> = lesson.pods.iter().map(|pod| Ok(File::open(place.path(pod))?)).collect::<Result<_>>()?;
        wire.carry_out(&node_side(lesson, &pods))?;
        let mut wires = Vec::with_capacity(pods.len());
        for (number, pod) in pods.iter().enumerate() {
            setns(pod, CloneFlags::CLONE_NEWNET).context("enter a pod")?;
            let inside = Wire::open()?;
            inside.carry_out(&pod_side(panel, lesson, number))?;
            wires.push(inside);
        }
        wire.carry_out(&plug(lesson))?;
        check(lesson, &wire, &wires)?;
        Ok(began.elapsed())
    })
}

/// No IPv6 and no packet filter over bridges, as in the agent's panels.
fn silence() -> Result<()> {
    for (path, value) in [
        ("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"),
        ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
        ("/proc/sys/net/bridge/bridge-nf-call-iptables", "0"),
        ("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0"),
        ("/proc/sys/net/bridge/bridge-nf-call-arptables", "0"),
    ] {
        if fs::exists(path)? {
            fs::write(path, value)?;
        }
    }
    Ok(())
}

/// Everything in the panel, and the NICs, which are born in their pods: one send.
fn node_side(lesson: &Lesson, pods: &[File]) -> Batch {
    let mut batch = Batch::default();
    for bridge in 0..lesson.bridges {
        batch.message(RTM_NEWLINK, CREATE, |body| {
            body.link(2 + bridge, true);
            body.text(3, &format!("lan{bridge}"));
            body.attribute(1, &[2, 0, 0, 1, 0, u8::try_from(bridge).unwrap_or(0)]);
            body.number(4, 1500);
            body.number(27, GROUP);
            body.nested(18, |info| {
                info.text(1, "bridge");
                info.nested(2, |data| {
                    data.number(4, 30_000);
                    data.number(5, 0);
                    data.attribute(23, &[0]);
                });
            });
        });
    }
    for (port, plug) in (FIRST_PORT..).zip(&lesson.plugs) {
        batch.message(RTM_NEWLINK, CREATE, |body| port_and_nic(body, lesson, port, plug, pods[plug.pod].as_raw_fd()));
    }
    if lesson.shape == Shape::Links {
        // All hooks, then all filters: the first filter at a hook waits until all readers are past its making (RCU).
        for (port, _) in (FIRST_PORT..).zip(&lesson.plugs) {
            hook(&mut batch, port);
        }
        for (port, plug) in (FIRST_PORT..).zip(&lesson.plugs) {
            // The far end of a link is the next plug, and of that one the one before.
            redirect(&mut batch, port, if plug.to_far { port + 1 } else { port - 1 });
        }
    }
    batch
}

/// Ports come up last: one that is up before its NIC has no carrier, and the kernel takes it down and up again.
fn plug(lesson: &Lesson) -> Batch {
    let mut batch = Batch::default();
    for (port, _) in (FIRST_PORT..).zip(&lesson.plugs) {
        match lesson.shape {
            Shape::Bridges => batch.message(RTM_NEWLINK, 0, port_options(port)),
            Shape::Links => batch.message(RTM_SETLINK, 0, |body| body.link(port, true)),
        }
    }
    batch
}

fn port_and_nic(body: &mut crate::wire::Body<'_>, lesson: &Lesson, port: u32, plug: &Plug, pod: RawFd) {
    body.link(port, false);
    body.text(3, &format!("port{port}"));
    body.number(4, 1500);
    body.number(27, GROUP);
    body.number(31, 1);
    body.number(32, 1);
    if lesson.shape == Shape::Bridges {
        body.number(10, 2 + plug.wire);
    }
    body.nested(18, |info| {
        info.text(1, "veth");
        info.nested(2, |data| {
            data.nested(1, |peer| {
                // Up later: its other half is not there yet.
                peer.link(port - FIRST_PORT + FIRST_NIC, false);
                peer.text(3, &plug.name);
                peer.attribute(1, &[2, 0, 0, 2, 0, u8::try_from(port).unwrap_or(0)]);
                peer.number(4, 1500);
                peer.number(27, GROUP);
                peer.number(28, u32::try_from(pod).unwrap_or(u32::MAX));
                peer.number(31, 1);
                peer.number(32, 1);
            });
        });
    });
}

/// Up, with the options that the agent gives a port: hairpin, isolated, learning, flooding, and what passes of 802.1D.
fn port_options(port: u32) -> impl FnOnce(&mut crate::wire::Body<'_>) {
    move |body| {
        body.link(port, true);
        body.nested(18, |info| {
            info.text(4, "bridge");
            info.nested(5, |data| {
                for (option, on) in [(4, 0), (33, 0), (8, 1), (9, 1), (27, 1), (30, 1)] {
                    data.attribute(option, &[on]);
                }
                data.attribute(31, &0xfffd_u16.to_ne_bytes());
            });
        });
    }
}

/// `struct tcmsg`.
fn traffic_control(body: &mut crate::wire::Body<'_>, port: u32, handle: u32, parent: u32, info: u32) {
    body.raw(&[0; 4]);
    for word in [port, handle, parent, info] {
        body.raw(&word.to_ne_bytes());
    }
}

/// `clsact`.
fn hook(batch: &mut Batch, port: u32) {
    batch.message(RTM_NEWQDISC, CREATE, |body| {
        traffic_control(body, port, 0xffff_0000, 0xffff_fff1, 0);
        body.text(1, "clsact");
    });
}

/// `u32` that matches everything, with `mirred egress redirect`.
fn redirect(batch: &mut Batch, port: u32, far: u32) {
    batch.message(RTM_NEWTFILTER, CREATE, |body| {
        traffic_control(body, port, 0, 0xffff_fff2, 0x1_0000 | u32::from(0x0003_u16.to_be()));
        body.text(1, "u32");
        body.nested(2, |options| {
            // `struct tc_u32_sel` with one `struct tc_u32_key`: TC_U32_TERMINAL, one key of zeros.
            let mut selector = vec![1, 0, 1, 0];
            selector.resize(16 + 16, 0);
            options.attribute(5, &selector);
            options.nested(7, |actions| {
                actions.nested(1, |action| {
                    action.text(1, "mirred");
                    action.nested(2, |mirred| {
                        // `struct tc_mirred`: TC_ACT_STOLEN, TCA_EGRESS_REDIR.
                        let words = [0, 0, 4, 0, 0, 1, far];
                        mirred.attribute(2, &words.map(u32::to_ne_bytes).concat());
                    });
                });
            });
        });
    });
}

/// What needs a socket of the pod: up, addresses and the altname.
fn pod_side(panel: &str, lesson: &Lesson, pod: usize) -> Batch {
    let mut batch = Batch::default();
    for (index, plug) in (FIRST_NIC..).zip(&lesson.plugs).filter(|(_, plug)| plug.pod == pod) {
        batch.message(RTM_SETLINK, 0, |body| body.link(index, true));
        batch.message(RTM_NEWADDR, CREATE, |body| {
            body.raw(&[2, 24, 0, 0]);
            body.raw(&index.to_ne_bytes());
            body.attribute(1, &plug.address);
            body.attribute(2, &plug.address);
            let mut broadcast = plug.address;
            broadcast[3] = 255;
            body.attribute(4, &broadcast);
        });
        batch.message(RTM_NEWLINKPROP, CREATE, |body| {
            body.link(index, false);
            body.nested(0x8000 | 0x34, |list| list.text(53, &format!("{panel}.{index}")));
        });
    }
    batch
}

/// Looks until everything is there and the first frame would pass. Each device is asked for by itself: since Linux 6.8 the kernel
/// then does at once for it what linkwatch would do later (`rtnl_getlink` of net/core/rtnetlink.c).
fn check(lesson: &Lesson, panel: &Wire, pods: &[Wire]) -> Result<()> {
    let began = Instant::now();
    let questions = |first: u32, pod: Option<usize>| {
        let mut batch = Batch::default();
        let own = (first..).zip(&lesson.plugs).filter(|(_, plug)| pod.is_none_or(|pod| plug.pod == pod));
        own.for_each(|(index, _)| batch.question(index));
        batch
    };
    loop {
        let mut forwarding = 0;
        panel.ask(&questions(FIRST_PORT, None), |link| forwarding += usize::from(forwards(link, lesson.shape)))?;
        let (mut up, mut addresses) = (0, 0);
        for (number, pod) in pods.iter().enumerate() {
            pod.ask(&questions(FIRST_NIC, Some(number)), |link| up += usize::from(forwards(link, Shape::Links)))?;
            pod.dump(RTM_GETADDR, ADDRESS_HEADER, |_| addresses += 1)?;
        }
        let all = lesson.plugs.len();
        if forwarding == all && up == all && addresses >= all {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "{forwarding} ports, {up} NICs, {addresses} addresses of {all}");
    }
}

/// Whether a device of ours that is no bridge is up and, in a bridge, forwarding.
fn forwards(link: &[u8], shape: Shape) -> bool {
    let (mut ours, mut up, mut state) = (false, false, shape == Shape::Links);
    let mut bridge = false;
    for (kind, value) in attributes(link.get(LINK_HEADER..).unwrap_or_default()) {
        match kind {
            27 => ours = value == GROUP.to_ne_bytes(),
            16 => up = value == [6],
            18 => {
                for (kind, value) in attributes(value) {
                    match kind {
                        1 => bridge = value == b"bridge\0",
                        // IFLA_BRPORT_STATE, BR_STATE_FORWARDING
                        5 => state |= attributes(value).any(|(kind, value)| kind == 1 && value == [3]),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    ours && up && state && !bridge
}

/// Removes a lesson, as fast as the kernel does: ports by group in one message, then bridges, then the panel.
pub(crate) fn unmake(place: &Place, panel: &str, lesson: &Lesson) -> Result<()> {
    crate::place::inside(&place.path(panel), || {
        let wire = Wire::open()?;
        let mut batch = Batch::default();
        for bridge in 0..lesson.bridges {
            batch.message(RTM_SETLINK, 0, |body| {
                body.link(2 + bridge, false);
                body.number(27, GROUP + 1);
            });
        }
        for group in [GROUP, GROUP + 1] {
            if group == GROUP || lesson.bridges > 0 {
                batch.message(RTM_DELLINK, 0, |body| {
                    body.link(0, false);
                    body.number(27, group);
                });
            }
        }
        wire.carry_out(&batch)
    })?;
    place.remove(panel)
}
