//! Named network namespaces that podwire makes as pods of a bare host.

use netlink_packet_route::{RouteNetlinkMessage, link::LinkAttribute};

use super::{KernelError, Netns, NetnsDir, NetnsError, link, socket::RouteSocket};

/// Index of `lo` in every namespace.
const LO: u32 = 1;

impl NetnsDir {
    /// Makes a namespace with its loopback up, and signs it: its loopback is in podwire's device group.
    ///
    /// # Errors
    ///
    /// `is_present`: the name is taken. Else the kernel's words.
    pub fn create_signed(&self, name: &str) -> Result<(), KernelError> {
        self.create(name)?;
        self.sign(name).inspect_err(|_| {
            if let Err(error) = self.remove(name) {
                tracing::warn!(name, %error, "a namespace that could not be set up stays behind");
            }
        })
    }

    fn sign(&self, name: &str) -> Result<(), KernelError> {
        let netns = match Netns::open(&self.path(name)) {
            Ok(netns) => netns,
            Err(NetnsError::Kernel(error)) => return Err(error),
            Err(NetnsError::Absent(_) | NetnsError::NotNetns { .. } | NetnsError::Own(_)) => {
                return Err(KernelError::Vanished(format!("namespace `{name}`")));
            }
        };
        let requests = vec![link::set_group(LO, link::GROUP), link::set_up(LO, true)];
        netns.socket()?.batch(requests)?.into_iter().collect()
    }
}

impl Netns {
    /// Whether `create_signed` made it.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn is_signed(&self) -> Result<bool, KernelError> {
        let mut socket: RouteSocket = self.socket()?;
        let RouteNetlinkMessage::NewLink(lo) = socket.get(link::get(LO))? else { return Ok(false) };
        Ok(lo.attributes.contains(&LinkAttribute::Group(link::GROUP)))
    }
}
