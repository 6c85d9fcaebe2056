//! The interfaces of a sandbox.

use podwire_proto::v1;

use crate::panel::PluggedSandbox;

use super::interface::Interfaces;

/// The interfaces of a sandbox, by index; those that are not there yet come last.
pub(crate) fn sandbox(plugged: &PluggedSandbox) -> Vec<v1::SandboxInterface> {
    let mut interfaces = Vec::new();
    for view in &plugged.views {
        let rendered = Interfaces::of(view);
        for nic in plugged.nics(view) {
            let Some((id, spec, _)) = view.intent.spec.interfaces().find(|(id, ..)| *id == nic.id) else { continue };
            interfaces.push(v1::SandboxInterface {
                topology: view.key().name.to_string(),
                element: id.element.to_string(),
                interface: Some(rendered.render(&id, spec)),
            });
        }
    }
    interfaces.sort_by_key(|each| {
        let interface = each.interface.as_ref();
        let index = interface.and_then(|interface| interface.status.as_ref()).map_or(0, |status| status.index);
        (index == 0, index, interface.map(|interface| interface.name.clone()))
    });
    interfaces
}
