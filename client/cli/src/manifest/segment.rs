//! A bridge that definitions share by its name.

use podwire_proto::v1;

use super::{definition::Definition, findings::Findings, ipam::Addressing};

/// A bridge and the definition that it was made of.
pub(super) struct Segment<'a> {
    /// The `bridge` of its definitions.
    pub(super) value: String,
    /// The one VLAN of it that it is; 0: all of them, told apart.
    pub(super) vlan: u32,
    /// The first definition that names it.
    pub(super) of: &'a Definition,
    /// All of its definitions give static addresses.
    fixed: bool,
    /// What becomes of it.
    pub(super) bridge: v1::Bridge,
}

impl<'a> Segment<'a> {
    /// The bridge `name` of the definition `of`.
    pub(super) fn new(
        name: String,
        (value, vlan): (String, u32),
        of: &'a Definition,
        hairpin: bool,
        isolated: bool,
    ) -> Self {
        let ipam = of.addressing.ipam.clone();
        let bridge = v1::Bridge { name, mtu: of.mtu, ipam, hairpin, isolated, ..v1::Bridge::default() };
        let bridge = v1::Bridge { vlan_aware: vlan == 0, ..bridge };
        Self { value, vlan, of, fixed: fixed(&of.addressing), bridge }
    }

    /// Another definition shares this bridge: what belongs to the bridge must be the same.
    pub(super) fn share(&mut self, other: &Definition, findings: &mut Findings<'_>) {
        let theirs = &other.addressing;
        // Static addresses go with any IPAM that gives no routes of its own.
        let agree = self.bridge.ipam == theirs.ipam
            || (fixed(theirs) && silent(self.bridge.ipam.as_ref()))
            || (self.fixed && silent(theirs.ipam.as_ref()));
        let what = if !agree {
            Some("`ipam`")
        } else if self.bridge.mtu != other.mtu && self.bridge.mtu != 0 && other.mtu != 0 {
            Some("`mtu`")
        } else {
            None
        };
        if let Some(what) = what {
            let (one, value) = (&self.of.name, &self.value);
            let message =
                format!("definitions `{one}` and `{}` share bridge `{value}` and differ in {what}", other.name);
            findings.error(other.place, message).hint("give one of them another `bridge`, or make them agree");
        }
        if self.bridge.mtu == 0 {
            self.bridge.mtu = other.mtu;
        }
        if self.bridge.ipam.is_none() {
            self.bridge.ipam.clone_from(&theirs.ipam);
        }
        self.fixed &= fixed(theirs);
    }
}

/// Whether every address is static.
fn fixed(addressing: &Addressing) -> bool {
    addressing.ipam.is_none() && !addressing.addresses.is_empty()
}

fn silent(ipam: Option<&v1::Ipam>) -> bool {
    ipam.is_none_or(|ipam| ipam.routes.is_empty())
}
