//! The rooms of the agent, and that nobody walks through a wall. Reads the source; needs no kernel.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each room, and which others it knows.
const ROOMS: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("kernel", &["domain"]),
    ("pods", &["domain", "kernel"]),
    ("store", &["domain"]),
    ("panel", &["domain", "kernel", "pods", "store"]),
    ("api", &["domain", "panel"]),
];

/// What only some rooms may use of other people's: each room is the only one that does its thing. `pods/cri` is a part of
/// a room: the container runtime speaks gRPC, and the rest of `pods` does not.
const TRADES: [(&[&str], &[&str]); 9] = [
    (&["podwire_proto", "tonic"], &["api", "pods/cri"]),
    (&["prost", "prost_types", "tonic_types", "tonic_health", "tonic_reflection"], &["api"]),
    (&["rtnetlink", "netlink_packet_core", "netlink_packet_route", "netlink_sys", "netlink_proto"], &["kernel"]),
    (&["nix", "netns_rs", "socket2"], &["kernel", "pods"]),
    // Who is there is known before any room is entered.
    (&["rustls", "tokio_rustls", "webpki", "serde_saphyr"], &[]),
    // What the agent may do is given up once, before any room is entered.
    (&["rustix", "seccompiler"], &[]),
    // All rooms count, by what `metrics.rs` has; how it is told, none knows.
    (&["prometheus_client", "hyper", "hyper_util"], &[]),
    // Calls have spans; who gets them, none knows.
    (&["opentelemetry", "opentelemetry_otlp", "opentelemetry_sdk", "tracing_opentelemetry"], &[]),
    (&["tokio", "inotify", "futures_util", "tower"], &["kernel", "pods", "store", "panel", "api"]),
];

const MOST_LINES: usize = 400;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// All Rust files below a folder with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The code without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The module path of a file below `agent/src`: `kernel/link.rs` is `["kernel", "link"]`.
fn module(file: &Path) -> Vec<String> {
    file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// The first names of a path or of a group: `a::b` gives `a`, `{a::b, c::{d, e}}` gives `a` and `c`.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if character.is_whitespace() => {}
            _ if fresh && depth == 0 => {
                names.push(name(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// Whether the match at `at` begins a word.
fn begins_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
}

/// The rooms that a file names, by `crate::` or by climbing out of its own with `super::`.
fn rooms_named(file: &Path, text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in text.match_indices("crate::").filter(|(at, _)| begins_word(text, *at)) {
        named.extend(first_names(&text[at + "crate::".len()..]));
    }
    let depth = module(file).len();
    for (at, _) in text.match_indices("super::").filter(|(at, _)| begins_word(text, *at)) {
        let (mut rest, mut climbed) = (&text[at..], 0);
        while let Some(above) = rest.strip_prefix("super::") {
            (rest, climbed) = (above, climbed + 1);
        }
        if climbed >= depth {
            named.extend(first_names(rest));
        }
    }
    named
}

/// Whether a module is this room or part of a room, or lies in it.
fn lies_in(module: &[String], place: &str) -> bool {
    place.split('/').enumerate().all(|(at, part)| module.get(at).is_some_and(|name| name == part))
}

#[test]
fn no_room_of_the_agent_imports_one_above_it() {
    let source = workspace().join("agent/src");
    let mut wrong = Vec::new();
    for (path, text) in sources(&source) {
        let file = path.strip_prefix(&source).unwrap();
        let module = module(file);
        let Some((room, known)) = ROOMS.iter().find(|(room, _)| *room == module[0]) else { continue };
        for named in rooms_named(file, &code(&text)) {
            if ROOMS.iter().any(|(other, _)| *other == named) && named != *room && !known.contains(&named.as_str()) {
                wrong.push(format!("{}: `{room}` must not know `{named}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_room_of_the_agent_is_the_only_one_that_does_its_thing() {
    let source = workspace().join("agent/src");
    let mut wrong = Vec::new();
    for (path, text) in sources(&source) {
        let (file, text) = (path.strip_prefix(&source).unwrap(), code(&text));
        let module = module(file);
        if !ROOMS.iter().any(|(each, _)| *each == module[0]) {
            continue;
        }
        for (crates, allowed) in TRADES {
            if allowed.iter().any(|place| lies_in(&module, place)) {
                continue;
            }
            for name in crates {
                let used = text.match_indices(&format!("{name}::")).any(|(at, _)| begins_word(&text, at));
                if used {
                    wrong.push(format!("{}: `{name}` belongs to {allowed:?}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_counts_knows_no_room() {
    let source = workspace().join("agent/src");
    let mut files = sources(&source.join("metrics"));
    files.push((source.join("metrics.rs"), fs::read_to_string(source.join("metrics.rs")).unwrap()));
    for (path, text) in files {
        let file = path.strip_prefix(&source).unwrap();
        let named = rooms_named(file, &code(&text));
        // `metrics/kernel.rs` is no room, and `super::kernel` there does not leave `metrics`.
        let room = named.iter().find(|named| ROOMS.iter().any(|(room, _)| room == *named));
        assert_eq!(room, None, "{}", file.display());
    }
}

#[test]
fn every_room_is_there() {
    let source = workspace().join("agent/src");
    for (room, _) in ROOMS {
        assert!(source.join(format!("{room}.rs")).is_file(), "agent/src/{room}.rs");
    }
}

#[test]
fn files_are_short() {
    let root = workspace();
    let mut long = Vec::new();
    for folder in ["agent", "client", "tests", "proto"] {
        for (path, text) in sources(&root.join(folder)) {
            let lines = text.lines().count();
            if lines > MOST_LINES {
                long.push(format!("{}: {lines}", path.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:#?}");
}

#[test]
fn modules_are_named_by_their_noun() {
    let root = workspace();
    for folder in ["agent", "client"] {
        for (path, _) in sources(&root.join(folder)) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(
                !["mod", "utils", "util", "common", "helpers", "types"].contains(&name.as_str()),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn every_member_of_the_workspace_has_its_lints() {
    let root = workspace();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).expect("the members, on one line");
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.len() >= 5, "{members:?}");
    for member in members {
        let manifest = fs::read_to_string(root.join(member).join("Cargo.toml")).unwrap();
        let flat: String = manifest.split_whitespace().collect();
        assert!(flat.contains("[lints]workspace=true") || flat.contains("lints.workspace=true"), "{member}");
    }
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let file = Path::new("kernel/link/encode.rs");
    let found = |text: &str| rooms_named(file, text);
    assert_eq!(found("use crate::domain::name::IfName;"), ["domain"]);
    assert_eq!(found("use crate::{\n    api::{a, b},\n    panel,\n};"), ["api", "panel"]);
    assert_eq!(found("let x = crate::store::open();"), ["store"]);
    assert_eq!(found("use super::super::super::panel::X;"), ["panel"]);
    assert!(found("use super::frame::X; use super::super::X;").iter().all(|name| name == "X" || name.is_empty()));
    assert!(found("other_crate::panel").is_empty());
    let at = |file: &str| module(Path::new(file));
    assert!(lies_in(&at("pods/cri.rs"), "pods/cri") && lies_in(&at("pods/cri/info.rs"), "pods/cri"));
    assert!(!lies_in(&at("pods/named.rs"), "pods/cri") && !lies_in(&at("pods.rs"), "pods/cri"));
}
