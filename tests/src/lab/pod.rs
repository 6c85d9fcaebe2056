//! A pod: a named network namespace.

use std::{fs, net::IpAddr, time::Duration};

use serde_json::Value;

use crate::{
    echo,
    lab::{Lab, run},
    tap::Tap,
};

/// One ping that is not lost comes back in less. The kernel asks again for an address after 1 s.
pub const FIRST_PING: Duration = Duration::from_millis(950);

/// A named network namespace that plays a pod.
#[derive(Debug, Clone)]
pub struct Pod {
    lab: Lab,
    name: String,
}

impl Pod {
    /// The pod `name`, which is there or will be.
    pub fn new(lab: &Lab, name: &str) -> Self {
        Self { lab: lab.clone(), name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes `interface` away and gives its name to `stranger` as its own or as an altname, so fast that the agent does
    /// not come in between: removing a device takes the kernel longer.
    ///
    /// # Panics
    ///
    /// `ip` fails; says what it said.
    #[track_caller]
    pub fn usurp(&self, interface: &str, stranger: &str, as_altname: bool) {
        let (down, away) = (format!("link set {interface} down"), format!("link set {interface} name usurped"));
        let taken = if as_altname {
            format!("link property add dev {stranger} altname {interface}")
        } else {
            format!("link set {stranger} name {interface}")
        };
        let lines = [down, away, taken];
        let file = self.lab.directory().join(format!("batch-{}", self.lab.number()));
        fs::write(&file, lines.join("\n")).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.ip(&format!("-batch {}", file.display()));
        // The agent may have removed it meanwhile.
        let _ = run("ip", &format!("-n {} link del usurped", self.name));
    }

    /// Runs `ip` in it.
    pub fn ip(&self, args: &str) -> String {
        self.lab.ip(&format!("-n {} {args}", self.name))
    }

    /// Gives it an `eth0` with an address and a default route, as a CNI plugin would have; its far end is on the node.
    pub fn with_eth0(self) -> Self {
        let number = self.lab.number() + 2;
        let outside = format!("node{number}");
        self.lab.ip(&format!("link add {outside} type veth peer name eth0 netns {}", self.name));
        self.lab.ip(&format!("link set {outside} addrgenmode none up"));
        self.ip("link set eth0 addrgenmode none up");
        self.ip(&format!("address add 10.244.0.{number}/24 dev eth0"));
        self.ip("route add default via 10.244.0.1");
        // Whoever asks for one device has the kernel look at its state at once, rather than some time later.
        self.lab.ip(&format!("link show dev {outside}"));
        self.ip("link show dev eth0");
        self
    }

    /// The names of its interfaces by index, without the loopback.
    pub fn interfaces(&self) -> Vec<String> {
        self.lab.link_names(&self.name)
    }

    /// What `ip -j -d link` shows of an interface.
    ///
    /// # Panics
    ///
    /// There is none.
    pub fn link(&self, interface: &str) -> Value {
        let links = self.lab.links(&self.name);
        let found = links.iter().find(|link| link["ifname"] == interface).cloned();
        found.unwrap_or_else(|| panic!("{}: no interface `{interface}` among {:?}", self.name, self.interfaces()))
    }

    /// The addresses of an interface, CIDR, without IPv6 link-local ones, as the kernel orders them.
    pub fn addresses(&self, interface: &str) -> Vec<String> {
        let shown = self.lab.ip_json(&format!("-n {} address show dev {interface}", self.name));
        let list = shown[0]["addr_info"].as_array().cloned().unwrap_or_default();
        list.iter()
            .filter(|each| each["scope"] != "link")
            .map(|each| format!("{}/{}", each["local"].as_str().unwrap_or_default(), each["prefixlen"]))
            .collect()
    }

    /// The first address of an interface, without its prefix length.
    ///
    /// # Panics
    ///
    /// It has none.
    pub fn address(&self, interface: &str) -> IpAddr {
        let all = self.addresses(interface);
        let first = all.first().and_then(|cidr| cidr.split_once('/')?.0.parse().ok());
        first.unwrap_or_else(|| panic!("{}/{interface}: no address among {all:?}", self.name))
    }

    /// The routes of a family (`-4`, `-6`), as `ip -j route` shows them.
    pub fn routes(&self, family: &str) -> Vec<Value> {
        let shown = self.lab.ip_json(&format!("{family} -n {} route show", self.name));
        shown.as_array().cloned().unwrap_or_default()
    }

    /// One ping, which must not be lost: the round trip.
    ///
    /// # Panics
    ///
    /// No answer within [`FIRST_PING`].
    pub fn ping(&self, to: IpAddr) -> Duration {
        echo::echo(&self.name, to, FIRST_PING).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Whether a ping is answered within a short time.
    pub fn reaches(&self, to: IpAddr) -> bool {
        echo::echo(&self.name, to, Duration::from_millis(300)).is_ok()
    }

    /// Sends and receives raw frames at an interface.
    ///
    /// # Panics
    ///
    /// There is no such interface.
    pub fn tap(&self, interface: &str) -> Tap {
        Tap::open(&self.name, interface).unwrap_or_else(|error| panic!("{error:#}"))
    }
}
