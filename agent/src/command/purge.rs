//! `podwire-agent purge`.

use std::{io::Write, path::PathBuf};

use clap::Args;

use crate::{panel, store::Store};

use super::{
    CommandError, Place,
    state::{self, State},
    table,
};

/// Removes everything.
#[derive(Debug, Clone, Args)]
pub struct Purge {
    #[command(flatten)]
    pub(super) place: Place,

    /// Does what is shown.
    #[arg(long)]
    pub(super) yes: bool,
}

impl Purge {
    /// Whether nothing is left that should have gone.
    pub(super) fn run(&self, out: &mut impl Write) -> Result<bool, CommandError> {
        let state_dir = &self.place.state_dir;
        let _claims = self.place.claim()?;
        let (kernel, pods) = (self.place.kernel()?, self.place.pods());
        let opened = state::open(state_dir).map_err(|error| CommandError::State(state_dir.clone(), error))?;
        let store: Option<&dyn Store> = match &opened {
            State::Readable(store) => {
                let unreadable = |error| CommandError::Store(state_dir.clone(), error);
                pods.recall(store.announcements().map_err(unreadable)?);
                Some(store.as_ref())
            }
            State::Unreadable(reason) => {
                writeln!(
                    out,
                    "The state in {} cannot be read, so what is podwire's is told by what is in the kernel: {reason}",
                    state_dir.display()
                )?;
                None
            }
            State::New => None,
        };
        let purge = panel::Purge::new(self.place.dir(), &kernel, pods.as_ref(), store)
            .map_err(|error| CommandError::Store(state_dir.clone(), error))?;
        if !self.yes {
            self.show(out, &purge.preview()?)?;
            return Ok(true);
        }
        let purged = purge.carry_out()?;
        for key in &purged.removed {
            writeln!(out, "removed topology {key}")?;
        }
        // Where something is left, the intents that prove it are needed by the next purge.
        if purged.left.is_empty() {
            drop(opened);
            let files = state::remove(state_dir).map_err(|error| CommandError::State(state_dir.clone(), error))?;
            if let Some(file) = &files.store {
                writeln!(out, "removed {}", file.display())?;
            }
            note(out, &purged.namespaces, &files.aside)?;
            let else_ = if purged.namespaces.is_empty() && files.aside.is_empty() { "" } else { " else" };
            writeln!(out, "Nothing{else_} of podwire's is left.")?;
            return Ok(true);
        }
        note(out, &purged.namespaces, &[])?;
        writeln!(out, "Not everything is gone; the state in {} is kept:\n", state_dir.display())?;
        let rows: Vec<_> = purged.left.iter().map(|left| [left.what.clone(), left.reason.clone()]).collect();
        table::write(out, ["LEFT", "BECAUSE"], &rows)?;
        Ok(false)
    }

    fn show(&self, out: &mut impl Write, preview: &panel::Preview) -> Result<(), CommandError> {
        let files = state::files(&self.place.state_dir);
        let mut rows: Vec<[String; 2]> = Vec::new();
        for (key, nics) in &preview.topologies {
            rows.push([format!("topology {key}"), nics.join(" ")]);
        }
        rows.extend(preview.retired.iter().map(|name| [format!("retired panel {name}"), String::new()]));
        rows.extend(files.store.iter().map(|file| [format!("file {}", file.display()), String::new()]));
        if rows.is_empty() {
            writeln!(out, "Nothing of podwire's is on this node that would be removed.")?;
        } else {
            table::write(out, ["WOULD BE REMOVED", "INTERFACES"], &rows)?;
        }
        if !preview.left.is_empty() {
            let rows: Vec<_> = preview.left.iter().map(|left| [left.what.clone(), left.reason.clone()]).collect();
            writeln!(out)?;
            table::write(out, ["WOULD BE LEFT", "BECAUSE"], &rows)?;
        }
        note(out, &preview.namespaces, &files.aside)?;
        writeln!(out, "\nNothing was changed. With --yes it is done.")?;
        Ok(())
    }
}

/// What stays by intention.
fn note(out: &mut impl Write, namespaces: &[PathBuf], aside: &[PathBuf]) -> Result<(), CommandError> {
    for path in namespaces {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = path.display();
        writeln!(
            out,
            "{path} is left: a network namespace that was made by podwire is a pod. `ip netns delete {name}` removes it"
        )?;
    }
    for file in aside {
        writeln!(out, "{} is left: a state that was set aside. `rm` removes it", file.display())?;
    }
    Ok(())
}
