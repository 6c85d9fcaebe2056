//! Trying out a link from inside its pods.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{
        desired::Nic,
        name::{ElementName, TopologyKey},
        spec::End,
    },
    kernel::{Nonce, PodDoor, Station, Verified, verify},
    pods::{Pods, Wanted},
};

use super::{engine::Engine, error::ChangeError, view::TopologyView};

/// What was found, and between which MTUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkVerified {
    /// What passes.
    pub verified: Verified,
    /// MTU of end `a`, in bytes.
    pub mtu_a: u32,
    /// MTU of end `b`.
    pub mtu_b: u32,
}

/// An end that is there.
struct LinkEnd {
    wanted: Wanted,
    device: String,
    mtu: u32,
}

impl Engine {
    /// Sends frames from each end of a link to the other and says what arrives. Takes no longer than `time` once the
    /// pods are open.
    ///
    /// # Errors
    ///
    /// There is no such link; an interface of it is not there; the kernel has no packet sockets.
    pub async fn verify(
        &self,
        key: &TopologyKey,
        name: &ElementName,
        time: Duration,
    ) -> Result<LinkVerified, ChangeError> {
        let permit = Arc::clone(&self.0.captures.verifications).acquire_owned().await;
        let view = self.get(key).await?;
        if !view.intent.spec.links.iter().any(|link| link.name == *name) {
            return Err(ChangeError::NotFound { kind: "link", name: format!("{name} of {key}") });
        }
        let (a, b) = (end(&view, name, End::A)?, end(&view, name, End::B)?);
        let (mtu_a, mtu_b) = (a.mtu, b.mtu);
        let (pods, of) = (Arc::clone(&self.0.pods), key.clone());
        let work = move || {
            let _permit = permit;
            let nonce = Nonce::new();
            let (a, b) = (a.open(&*pods, &of, nonce)?, b.open(&*pods, &of, nonce)?);
            Ok(verify(a, b, nonce, time))
        };
        Ok(LinkVerified { verified: self.work(key, work).await?, mtu_a, mtu_b })
    }
}

fn end(view: &TopologyView, name: &ElementName, end: End) -> Result<LinkEnd, ChangeError> {
    let key = view.key();
    let is_it = |nic: &&Nic| nic.id.element == *name && nic.id.end == end;
    let nic = view.desired.nics.iter().find(is_it).ok_or_else(|| ChangeError::Bug(key.clone()))?;
    let status = view.interfaces.get(&nic.id);
    let Some(mtu) = status.and_then(|status| status.mtu) else {
        let reason = status.map_or("", |status| status.reason.as_str());
        let message = format!("{reason}: verify the link when both interfaces are there");
        return Err(ChangeError::NotPlugged { what: not_plugged(nic, key), message });
    };
    let wanted = Wanted { namespace: key.namespace.clone(), owner: nic.owner.clone(), uid: nic.uid.clone() };
    Ok(LinkEnd { wanted, device: nic.key.name.to_string(), mtu })
}

fn not_plugged(nic: &Nic, key: &TopologyKey) -> String {
    format!("interface {}/{} ({} of {key})", nic.owner, nic.key.name, nic.id)
}

impl LinkEnd {
    fn open(self, pods: &dyn Pods, key: &TopologyKey, nonce: Nonce) -> Result<Station, ChangeError> {
        let Self { wanted, device, mtu } = self;
        let gone = |why: String| ChangeError::NotPlugged {
            what: format!("interface {}/{device}", wanted.owner),
            message: format!("{why}: verify the link when it is READY again"),
        };
        let found = pods.find(std::slice::from_ref(&wanted))?.pop_first();
        let netns = match found {
            Some((_, PodDoor::Open(netns, _))) => netns,
            Some((_, PodDoor::Absent(why))) => return Err(gone(why)),
            Some((_, PodDoor::Refused(refusal))) => return Err(gone(refusal.message)),
            None => return Err(gone("its pod is not known".to_owned())),
        };
        let station = netns.run(|| Station::open(&device, mtu, nonce)).flatten();
        station.map_err(|error| match error {
            error if error.is_gone() => gone(error.to_string()),
            error => super::capture::socket_error(key, "the verification of a link", error),
        })
    }
}
