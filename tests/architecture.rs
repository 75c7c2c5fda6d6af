//! The rooms of the library, and what may not happen in each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// From top to bottom; each room may use those below it. Rooms on one line stand beside each other.
const ROOMS: &[&str] = &[
    "main",
    "cli",
    "runtime",
    "simulator",
    "engine",
    "preemption",
    "gang",
    "queue",
    "plugins",
    "framework",
    "cluster",
    "model",
    "api",
];

/// Everybody may use these, and they use nobody above.
const FOR_ALL: &[&str] = &["config", "telemetry"];

/// The rooms that decide: they are told the time, do no IO, and roll no dice.
const DECIDING: &[&str] = &[
    "engine",
    "gang",
    "queue",
    "preemption",
    "plugins",
    "framework",
    "cluster",
    "model",
];

/// What the deciding rooms may not mention.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "kube::",
    "std::time::Instant",
    "Instant::now",
    "SystemTime",
    "rand::",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
];

/// A source file with its path below src and its lines; comments and tests taken out.
struct Source {
    path: String,
    room: String,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| read(&root, &file))
        .filter(|source| !is_test(&source.path))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(root: &Path, file: &Path) -> Source {
    let path = file.strip_prefix(root).unwrap();
    let path = path.to_str().unwrap().replace('\\', "/");
    let text = fs::read_to_string(file).unwrap();
    let code = (text.lines())
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let first = path.split('/').next().unwrap();
    Source {
        room: first.trim_end_matches(".rs").to_owned(),
        path,
        text,
        code,
    }
}

fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part.trim_end_matches(".rs"), "tests" | "testing"))
}

/// The rooms that the code names as `crate::room`, also within `use crate::{a, b::c}`.
fn used_rooms(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    // The binary sees the library under its name.
    for prefix in ["crate::", "berth::"] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|char| char.is_alphanumeric() || char == '_') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => rooms.extend(names_of_group(group)),
                None => rooms.push(identifier(rest)),
            }
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|char| char.is_alphanumeric() || *char == '_')
        .collect()
}

/// The first names of a group, up to its closing brace.
fn names_of_group(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for char in group.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ if depth == 0 => parts.last_mut().unwrap().push(char),
            _ => {}
        }
    }
    parts.iter().map(|part| identifier(part.trim())).collect()
}

#[test]
fn groups_and_paths_are_read() {
    let code = "use crate::{queue, model::{A, B}};\nfn f() -> crate::api::Pod {}\nmycrate::x";
    assert_eq!(used_rooms(code), ["queue", "model", "api"]);
}

#[test]
fn each_room_uses_only_those_below_it() {
    let mut wrong = Vec::new();
    let place = |room: &str| ROOMS.iter().position(|one| *one == room);
    for source in sources().iter().filter(|source| source.room != "lib") {
        for used in used_rooms(&source.code) {
            let allowed = if FOR_ALL.contains(&&*source.room) {
                used == source.room
            } else if FOR_ALL.contains(&&*used) || used == source.room {
                true
            } else {
                match (place(&source.room), place(&used)) {
                    (Some(own), Some(other)) => own < other,
                    // Something that is not a room, as a macro of the crate.
                    (Some(_), None) => ROOMS.iter().all(|room| *room != used),
                    (None, _) => false,
                }
            };
            if !allowed {
                wrong.push(format!("{} uses {used}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_its_place() {
    for source in sources().iter().filter(|source| source.room != "lib") {
        let known = ROOMS.contains(&&*source.room) || FOR_ALL.contains(&&*source.room);
        assert!(known, "{} belongs to no room", source.path);
    }
}

#[test]
fn the_deciding_rooms_read_no_clock_and_do_no_io() {
    let mut wrong = Vec::new();
    for source in sources() {
        if DECIDING.contains(&&*source.room) {
            for word in FORBIDDEN {
                if source.code.contains(word) {
                    wrong.push(format!("{} mentions {word}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_plugin_does_not_read_another() {
    for source in sources() {
        let Some(file) = source.path.strip_prefix("plugins/") else {
            continue;
        };
        // The parts of one plugin may know each other.
        let outside = if file.contains('/') {
            "super::super::"
        } else {
            "super::"
        };
        for line in source.code.lines().filter(|line| line.contains(outside)) {
            // What plugins share lies in a file that is no plugin.
            let shared = line.contains("super::resource_score");
            assert!(shared, "{file} looks into a neighbour: {line}");
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > 520 {
            wrong.push(format!("{} has {lines} lines", source.path));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!("{} does not begin with //!", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn there_is_no_unsafe_code() {
    for source in sources() {
        let unsafe_code = source.code.contains("unsafe {") || source.code.contains("unsafe fn");
        assert!(!unsafe_code, "{}", source.path);
    }
}
