//! What a call holds for as long as the work goes on that it asked for: a caller that goes away does not end that.

use std::{any::Any, sync::Arc};

type Kept = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    static KEPT: Kept;
}

/// Does something, and holds this until that and all work that it began on other tasks and threads is over.
pub async fn keeping<F: Future>(what: Kept, work: F) -> F::Output {
    KEPT.scope(what, work).await
}

/// To be moved to where work goes on.
pub(super) fn kept() -> Option<Kept> {
    KEPT.try_with(Arc::clone).ok()
}
