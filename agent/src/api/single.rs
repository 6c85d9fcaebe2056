//! What the services of single elements share: one change, and whose elements to list.

use crate::{
    domain::{edit::Edit, name::ElementName},
    panel::{Change, ChangeError, Engine, TopologyView},
};

use super::{
    parse::Members,
    rebase::{Element, rebase},
};

/// Makes a change after which its element is there, and returns the topology with the name of the element.
///
/// # Errors
///
/// As the engine, with field paths of the request.
pub(super) async fn put(engine: &Engine, change: Change) -> Result<(TopologyView, ElementName), ChangeError> {
    let (key, name) = (change.key.clone(), name_of(&change.edit).clone());
    let element = Element::created_by(&change.edit);
    let view = engine.change(change).await.map_err(|error| rebase(element, error))?;
    Ok((view.ok_or(ChangeError::Bug(key))?, name))
}

/// The topologies whose elements are listed; one that is not there has none.
///
/// # Errors
///
/// As the engine.
pub(super) async fn views(engine: &Engine, members: &Members) -> Result<Vec<TopologyView>, ChangeError> {
    if members.all {
        return Ok(engine.list(Some(&members.key.namespace)).await);
    }
    match engine.get(&members.key).await {
        Ok(view) => Ok(vec![view]),
        Err(ChangeError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn name_of(edit: &Edit) -> &ElementName {
    match edit {
        Edit::CreateBridge(spec) => &spec.name,
        Edit::CreateLink(spec) => &spec.name,
        Edit::Attach(spec) => &spec.name,
        Edit::DeleteBridge { name, .. }
        | Edit::UpdateLink { name, .. }
        | Edit::UpdateAttachment { name, .. }
        | Edit::DeleteLink(name)
        | Edit::Detach(name) => name,
    }
}
