//! Field paths of single calls.

use crate::{
    domain::{assign::AssignError, edit::Edit},
    panel::ChangeError,
};

/// The engine checks the whole topology and names fields as an apply would: `links[3].a.name`. Whoever created one
/// link wrote `link.a.name`.
pub(super) fn rebase(edit: Option<Element>, mut error: ChangeError) -> ChangeError {
    let Some(element) = edit else { return error };
    match &mut error {
        ChangeError::Invalid(violations) | ChangeError::Assign(AssignError::Invalid(violations)) => {
            for violation in violations {
                let before = violation.field.clone();
                element.rebase(&mut violation.field);
                if !before.starts_with(element.plural) {
                    violation.description =
                        format!("together with what is there ({before}): {}", violation.description);
                }
            }
        }
        ChangeError::Assign(
            AssignError::AddressesExhausted { field, .. }
            | AssignError::AddressTaken { field, .. }
            | AssignError::VlanTaken { field, .. }
            | AssignError::NameTaken { field, .. },
        )
        | ChangeError::NotAllowed { field, .. } => element.rebase(field),
        _ => {}
    }
    error
}

/// The element that a call creates: its field in the request, and the repeated one in a topology.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    singular: &'static str,
    plural: &'static str,
}

impl Element {
    /// What an edit creates.
    pub(super) fn created_by(edit: &Edit) -> Option<Self> {
        match edit {
            Edit::CreateBridge(_) => Some(Self { singular: "bridge", plural: "bridges" }),
            Edit::CreateLink(_) => Some(Self { singular: "link", plural: "links" }),
            Edit::Attach(_) => Some(Self { singular: "attachment", plural: "attachments" }),
            Edit::DeleteBridge { .. }
            | Edit::UpdateLink { .. }
            | Edit::DeleteLink(_)
            | Edit::UpdateAttachment { .. }
            | Edit::Detach(_) => None,
        }
    }

    /// The path in the request. What the topology had before is not in the request: where the check blames an element
    /// of it, the new one is what made the trouble.
    fn rebase(self, field: &mut String) {
        let rest = field.strip_prefix(self.plural).and_then(|rest| rest.strip_prefix('['));
        let rest = rest.and_then(|rest| rest.split_once(']'));
        let rest = rest.filter(|(index, _)| index.bytes().all(|b| b.is_ascii_digit()));
        *field = format!("{}{}", self.singular, rest.map_or("", |(_, rest)| rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::violation::Violation;

    #[test]
    fn paths_of_the_topology_become_paths_of_the_request() {
        let element = Element { singular: "link", plural: "links" };
        for (path, expected) in [
            ("links[0].a.name", "link.a.name"),
            ("links[1234]", "link"),
            ("bridges[0].ipam.subnets[0]", "link"),
            ("attachments[0].interface.name", "link"),
        ] {
            let error = rebase(Some(element), ChangeError::Invalid(vec![Violation::new(path, "wrong")]));
            let ChangeError::Invalid(violations) = error else { panic!("{error}") };
            assert_eq!(violations[0].field, expected);
        }
    }
}
