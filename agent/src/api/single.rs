//! What the services of single elements share: one change, and whose elements to list.

use tonic::Status;

use crate::{
    domain::{edit::Edit, name::ElementName},
    panel::{Change, ChangeError, Engine, TopologyView},
};

use super::{
    door::Access,
    parse::Members,
    rebase::{Element, rebase},
};

/// Makes a change after which its element is there, and returns the topology with the name of the element.
///
/// # Errors
///
/// The caller may not; as the engine, with field paths of the request.
pub(super) async fn put(
    engine: &Engine,
    mut change: Change,
    access: &Access,
) -> Result<(TopologyView, ElementName), Status> {
    access.check_edit(&change.edit, &change.key.namespace)?;
    access.is_about(&format_args!("{}/{}", change.key, name_of(&change.edit)));
    change.quota = access.quota(&change.key.namespace);
    let (key, name) = (change.key.clone(), name_of(&change.edit).clone());
    let element = Element::created_by(&change.edit);
    let view = engine.change(change).await.map_err(|error| access.tell(rebase(element, error)))?;
    Ok((view.ok_or(ChangeError::Bug(key))?, name))
}

/// Makes a change after which its element is gone.
///
/// # Errors
///
/// The caller may not; as the engine.
pub(super) async fn remove(engine: &Engine, change: Change, access: &Access) -> Result<(), Status> {
    access.check_edit(&change.edit, &change.key.namespace)?;
    access.is_about(&format_args!("{}/{}", change.key, name_of(&change.edit)));
    engine.change(change).await.map_err(|error| access.tell(error))?;
    Ok(())
}

/// The topologies whose elements are listed; one that is not there has none.
///
/// # Errors
///
/// The caller may not; as the engine.
pub(super) async fn views(engine: &Engine, members: &Members, access: &Access) -> Result<Vec<TopologyView>, Status> {
    access.check(&members.key.namespace)?;
    if members.all {
        return Ok(engine.list(|namespace| *namespace == members.key.namespace).await);
    }
    match engine.get(&members.key).await {
        Ok(view) => Ok(vec![view]),
        Err(ChangeError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
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
