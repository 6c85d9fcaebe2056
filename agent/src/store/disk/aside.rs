//! Getting a store that cannot be read out of the way.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{FILE, OpenError, home};

/// Renames what stands in the place of the store to `intents.redb.unreadable-<UTC time>`, as in
/// `intents.redb.unreadable-20260131T235959Z`, and returns where it is now. The next open makes an empty store.
///
/// # Errors
///
/// A process has the store open, nothing is there, or the system refuses.
pub fn set_aside(dir: &Path) -> Result<PathBuf, OpenError> {
    let _directory = home::lock(dir)?;
    let path = dir.join(FILE);
    let name = format!("{FILE}.unreadable-{}", utc(SystemTime::now()));
    // Several in one second get numbers; nothing is ever replaced, for the directory is locked.
    let names = std::iter::once(name.clone()).chain((2..).map(|number: u32| format!("{name}.{number}")));
    let free = names.map(|name| dir.join(name)).find(|aside| fs::symlink_metadata(aside).is_err());
    let aside = free.unwrap_or_else(|| dir.join(name));
    fs::rename(&path, &aside).map_err(home::refused("set aside", &path))?;
    home::sync(dir)?;
    Ok(aside)
}

/// The files that a state directory has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateFiles {
    /// The store, sound or not.
    pub store: Option<PathBuf>,
    /// Stores that were set aside.
    pub aside: Vec<PathBuf>,
}

/// Looks what files a state directory has. One that cannot be read has none.
pub fn state_files(dir: &Path) -> StateFiles {
    let store = Some(dir.join(FILE)).filter(|path| fs::symlink_metadata(path).is_ok());
    let prefix = format!("{FILE}.unreadable-");
    let names = fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let aside = names.filter(|name| name.to_string_lossy().starts_with(&prefix)).map(|name| dir.join(name));
    let mut aside: Vec<PathBuf> = aside.collect();
    aside.sort();
    StateFiles { store, aside }
}

/// A time in UTC as ISO 8601 writes it without separators.
fn utc(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z", day + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_769_903_999, "20260131T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), shown);
        }
    }
}
