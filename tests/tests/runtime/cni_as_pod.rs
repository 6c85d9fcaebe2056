//! The agent and the installer of the CNI plugin as a pod, as the DaemonSet has them, and a real containerd that calls the
//! plugin: it announces sandboxes to an agent in a container, which sees less of the node than one beside it.

use std::{fs, path::Path};

use podwire_client::{Attachment, Bridge, Client, Topology};
use podwire_proto::v1::State;
use podwire_tests::{
    condition::{eventually, holds},
    containerd::{Containerd, FIRST_PEER, Sandbox, Version},
    daemonset::Container,
    elements::state,
    manifest,
    private::{measured, skip},
};

use crate::{
    as_pod::{SOCKET, with_image},
    cni::{PLUGIN, chained, first_sight, list, was_there_first},
};

/// The agent with a TCP port, the installer, and what takes the plugin away again.
fn containers() -> Option<[Container; 3]> {
    let with = |component: &str| {
        manifest::kustomize_with("kustomize/overlays/containerd-cni", &[&format!("kustomize/components/{component}")])
    };
    let (Some(open), Some(removal)) = (with("tcp").unwrap(), with("cni-removal").unwrap()) else {
        skip("neither kustomize nor kubectl is on the PATH");
        return None;
    };
    let read = |documents, name| Container::read(documents, name, "node-1").unwrap();
    Some([read(&open, "agent"), read(&open, "cni-installer"), read(&removal, "cni-installer")])
}

/// The directories of a node that a manifest has, replaced by those of a containerd.
fn at(mut installer: Container, containerd: &Containerd) -> Container {
    let usual = ["/opt/cni/bin", "/etc/cni/net.d"];
    for (usual, own) in usual.iter().zip(containerd.cni_directories()) {
        let mount = installer.mounts.iter_mut().find(|mount| mount.host == Path::new(usual)).unwrap();
        mount.host = own;
    }
    installer
}

fn lesson() -> Topology {
    let peer = Attachment::new("peer").pod("peer").interface("net1").address(format!("{FIRST_PEER}/24"));
    Topology::new("lessons", "12")
        .bridge(Bridge::new("lan").subnet("10.0.0.0/24"))
        .attach(peer.bridge("lan"))
        .attach(Attachment::new("pa").pod("a").interface("net1").bridge("lan"))
}

async fn ready(client: &Client) {
    eventually("the lesson is READY", async || {
        let now = client.get_topology("lessons", "12").await.map_err(|error| error.to_string())?;
        holds(state(&now) == State::Ready, format!("{now:?}"))
    })
    .await;
}

fn from_the_daemonset(version: Version) {
    let Some([agent, installer, removal]) = containers() else { return };
    with_image(version, async |_, containerd, image| {
        assert_eq!(agent.image, image.image);
        let cluster = list(containerd);
        let installer = at(installer.clone(), containerd);
        let mut pod = containerd.host_pod("podwire-agent-x", &agent).await.unwrap();
        let serving = containerd.launch(&mut pod, &agent, None).await.unwrap();
        serving.becomes_well(&agent).await;
        let installing = containerd.launch(&mut pod, &installer, None).await.unwrap();
        chained(containerd, true).await;

        // As a scheduler elsewhere: by the port.
        let client = Client::connect("tcp://127.0.0.1:7411").await.unwrap();
        client.apply(lesson()).await.unwrap();
        let peer = containerd.pod("peer").await;
        let id = containerd.pod("a").await;
        was_there_first(containerd, &id).await;
        ready(&client).await;
        containerd.netns(&id).await.ping(FIRST_PEER.parse().unwrap());
        let netns = containerd.netns(&id).await;
        assert!(Path::new("/run/netns").join(netns.name()).exists());

        // DEL twice, then a sandbox anew.
        for _ in 0..2 {
            containerd.stop(&id).await.unwrap();
        }
        containerd.remove(&id).await.unwrap();
        let id = containerd.run(Sandbox::of("a").attempt(1)).await.unwrap();
        was_there_first(containerd, &id).await;

        // An update of the DaemonSet: pods that start meanwhile get their interfaces afterwards.
        let (code, took) = serving.stop(agent.grace).await.unwrap();
        assert_eq!(code, 0, "{}", serving.log());
        measured(&format!("{version:?} containerd: the agent's container left {took:?} after it was asked"));
        containerd.remove(&id).await.unwrap();
        let id = containerd.run(Sandbox::of("a").attempt(2)).await.unwrap();
        let seen = first_sight(containerd, &id).await;
        assert!(!seen.contains("inet"), "{seen}");
        let serving = containerd.launch(&mut pod, &agent, None).await.unwrap();
        serving.becomes_well(&agent).await;
        let client = Client::connect(SOCKET).await.unwrap();
        ready(&client).await;
        containerd.netns(&id).await.ping(FIRST_PEER.parse().unwrap());

        // The installer leaves without unplugging the node; before, it puts back what is taken away.
        let [bin, conf] = containerd.cni_directories();
        fs::remove_file(bin.join(PLUGIN)).unwrap();
        fs::write(conf.join("10-pods.conflist"), &cluster).unwrap();
        eventually("both are back", async || {
            holds(list(containerd).contains(PLUGIN) && bin.join(PLUGIN).exists(), list(containerd))
        })
        .await;
        assert_eq!(installing.stop(agent.grace).await.unwrap().0, 0, "{}", installing.log());
        assert!(list(containerd).contains(PLUGIN) && bin.join(PLUGIN).exists());
        chained(containerd, true).await;
        let removing = containerd.launch(&mut pod, &at(removal.clone(), containerd), None).await.unwrap();
        chained(containerd, false).await;
        eventually("nothing of it is left", async || {
            holds(list(containerd) == cluster && !bin.join(PLUGIN).exists(), removing.log())
        })
        .await;
        assert_eq!(removing.stop(agent.grace).await.unwrap().0, 0, "{}", removing.log());
        for id in [&id, &peer] {
            containerd.remove(id).await.unwrap();
        }
        client.delete_topology("lessons", "12").await.unwrap();
        assert_eq!(serving.stop(agent.grace).await.unwrap().0, 0, "{}", serving.log());
    });
}

#[test]
fn a_pods_first_process_has_its_interface_from_the_agent_of_the_daemonset() {
    from_the_daemonset(Version::System);
}

#[test]
fn so_it_has_on_the_newest_containerd() {
    from_the_daemonset(Version::Newest);
}
