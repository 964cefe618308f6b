//! What the house is built of stays what it is: `model` and `fold` are pure, and the arrows between rooms point one way.
//!
//! Both are read off the source: a file, a line, what was found there, and what to do about it.

#[path = "house/source.rs"]
mod source;

use source::{Kind, Source, Used, sources};

/// Who may use whom. A room that stands nowhere here has no arrows yet.
const ARROWS: [(&str, &[&str]); 9] = [
    ("model", &[]),
    ("fold", &["model"]),
    ("wire", &["fold", "model"]),
    ("config", &["model"]),
    ("client", &["model"]),
    ("nats", &["wire", "fold", "model"]),
    ("runtime", &["nats", "wire", "fold", "model", "config"]),
    ("cli", &["client", "runtime", "nats", "wire", "fold", "model", "config"]),
    ("main", &["cli"]),
];

/// What the core must not name, and what to do instead.
const FORBIDDEN: [(&[&str], &str); 6] = [
    (
        &["Instant", "SystemTime"],
        "the core is told the time, it never asks: take it from the entry's timestamp, by way of ObservedTime",
    ),
    (
        &["HashMap", "HashSet", "hash_map", "hash_set", "RandomState", "DefaultHasher"],
        "its order is another in every process: use BTreeMap, or fold::index, whose order reaches no event",
    ),
    (
        &["f16", "f32", "f64", "f128"],
        "rounding differs between machines: use integers, as permille or milliseconds, and say how they round",
    ),
    (
        &["println", "print", "eprintln", "eprint", "dbg", "thread_local"],
        "the core has no effects: return it, or append an event",
    ),
    (&["option_env"], "the same log must give the same events from every build: take it as an argument"),
    (&["async", "await"], "the core waits for nothing: let src/runtime await and call the core with what came"),
];

/// Modules of the standard library that do something, or ask somebody.
const STD: [&str; 7] = ["thread", "fs", "net", "env", "io", "process", "os"];
const STD_MEND: &str = "the core does no input or output: do it in src/nats or src/runtime and pass in what came of it";
const CRATE_MEND: &str = "model and fold use the standard library, prefetch_index, and serde's derives on model types; what needs \
    more belongs to src/wire, src/nats or src/runtime";
const GLOB_MEND: &str = "name what you use, so that this test can see it";
const FLOAT_MEND: &str = FORBIDDEN[2].1;

/// Something that must not be there.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Find {
    file: String,
    line: usize,
    what: String,
    mend: String,
}

impl Find {
    fn new(source: &Source, line: usize, what: &str, mend: &str) -> Self {
        Self { file: source.name.clone(), line, what: what.to_owned(), mend: mend.to_owned() }
    }
}

fn report(mut finds: Vec<Find>) -> String {
    finds.sort();
    finds.dedup();
    let lines = finds.iter().map(|find| format!("{}:{}: `{}`: {}\n", find.file, find.line, find.what, find.mend));
    lines.collect()
}

/// The names by which code can reach another crate, as Cargo.toml knows them.
fn crates() -> Vec<String> {
    let manifest = include_str!("../Cargo.toml").parse::<toml::Table>().expect("Cargo.toml is TOML");
    let of = |table: &str| manifest.get(table).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    let names = of("dependencies").chain(of("dev-dependencies")).map(|name| name.replace('-', "_"));
    names.chain(["rand".to_owned(), "presence_engine".to_owned()]).collect()
}

/// What a file of the core uses and must not.
fn impurities(source: &Source, crates: &[String]) -> Vec<Find> {
    let mut finds = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let forbidden = FORBIDDEN.iter().find(|(names, _)| token.kind == Kind::Name && names.contains(&&*token.text));
        if let Some((_, mend)) = forbidden {
            finds.push(Find::new(source, token.line, &token.text, mend));
        }
        if token.kind == Kind::Float {
            finds.push(Find::new(source, token.line, &token.text, FLOAT_MEND));
        }
        if source.is(at, &["env", "!"]) {
            finds.push(Find::new(source, token.line, "env!", FORBIDDEN[4].1));
        }
    }
    for path in source.paths() {
        if let Some(mend) = impure(&path, source, crates) {
            finds.push(Find::new(source, path.line, &path.segments.join("::"), mend));
        }
    }
    finds
}

fn impure(path: &Used, source: &Source, crates: &[String]) -> Option<&'static str> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let own_module = (0..source.tokens.len()).any(|at| source.is(at, &["mod", segments[0]]));
    match segments[..] {
        ["std" | "core" | "alloc", module, ..] if STD.contains(&module) => Some(STD_MEND),
        ["std" | "core" | "alloc", .., "*"] => Some(GLOB_MEND),
        ["serde", "Serialize" | "Deserialize"] if source.modules[0] == "model" => None,
        // A hint to the processor, without effect on what is computed.
        ["prefetch_index", "prefetch_index"] if source.modules[0] == "fold" => None,
        ["proptest" | "siphasher", ..] if path.test => None,
        [name, ..] if !own_module && crates.iter().any(|other| other == name) => Some(CRATE_MEND),
        _ => None,
    }
}

/// The arrows of a file that point the wrong way.
fn wrong_arrows(source: &Source) -> Vec<Find> {
    let room = source.modules.first().map_or("main", String::as_str);
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        let mend =
            "no such room is known to tests/purity.rs: give it its arrows in ARROWS, and a line in ARCHITECTURE.md";
        return vec![Find::new(source, 1, room, mend)];
    };
    let root = if room == "main" { "presence_engine" } else { "crate" };
    let mut finds = Vec::new();
    for path in source.paths() {
        let [first, other, ..] = &path.segments[..] else {
            continue;
        };
        let known = ARROWS.iter().any(|(name, _)| name == other);
        if first == root && (known || room == "main") && other != room && !allowed.contains(&other.as_str()) {
            let able = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            let mend = format!(
                "{room} may use {able}, arrows point one way: pass in what {room} needs, or move the code to the room that \
                 may know both"
            );
            finds.push(Find::new(source, path.line, &path.segments.join("::"), &mend));
        }
    }
    finds
}

#[test]
fn model_and_fold_are_pure() {
    let crates = crates();
    let core: Vec<Source> = [sources("src/model"), sources("src/fold")].into_iter().flatten().collect();
    assert!(core.len() > 15, "the core was not found: {} files", core.len());
    let finds = report(core.iter().flat_map(|source| impurities(source, &crates)).collect());
    assert!(finds.is_empty(), "model and fold must stay pure:\n{finds}");
}

#[test]
fn arrows_between_rooms_point_one_way() {
    let house = sources("src");
    let rooms: Vec<&Source> = house.iter().filter(|source| source.name != "src/lib.rs").collect();
    assert!(rooms.iter().any(|source| source.name == "src/main.rs"), "src/main.rs was not found");
    let finds = report(rooms.into_iter().flat_map(wrong_arrows).collect());
    assert!(
        finds.is_empty(),
        "main → cli → runtime → nats → wire → fold → model; config → model; client → model:\n{finds}"
    );
}

// ── that these tests see what they look for ──

fn found(name: &str, text: &str) -> Vec<(usize, String)> {
    let source = Source::new(name, text);
    let finds = impurities(&source, &crates()).into_iter().chain(wrong_arrows(&source));
    let mut found: Vec<_> = finds.map(|find| (find.line, find.what)).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_breach_of_purity_is_seen() {
    for breach in [
        "use std::time::Instant;",
        "use std::{sync::Arc, time::{Duration, SystemTime}};",
        "fn f() -> u64 { std::time::SystemTime::now() }",
        "use std::collections::HashMap as Map;",
        "use std::collections::*;",
        "use std::hash::RandomState;",
        "use std::{io, fmt};",
        "use ::std::fs::File;",
        "fn f() { std::thread::yield_now(); }",
        "fn f() { std::process::exit(1) }",
        "use prefetch_index::prefetch_index_nta;",
        "use bytes::Bytes;",
        "use serde_json::Value;",
        "fn f() { tracing::info!(\"x\"); }",
        "#[derive(thiserror::Error)] struct E;",
        "use tokio::sync::Mutex;",
        "async fn f() {}",
        "extern crate rand;",
        "fn f() -> u8 { rand::random() }",
        "use proptest::prelude::*;",
        "fn f(x: f64) {}",
        "const A: u64 = 1.5 as u64;",
        "const A: u64 = 2. as u64;",
        "const A: u64 = 1e3 as u64;",
        "const A: u64 = 1_f32 as u64;",
        "fn f() { println!(\"x\"); }",
        "const V: &str = env!(\"CARGO_PKG_VERSION\");",
        "use crate::wire::Progress;",
        "use crate::{model::State, nats};",
        "use super::super::runtime::Engine;",
        "mod inner { use super::super::super::config; }",
        "fn f() { crate::cli::main() }",
        "use serde::Serialize;",
        "#[cfg(test)] mod tests { use super::*; } use tokio::time;",
        "/* a /* nested */ comment */ use std::net::TcpStream;",
        "const A: &str = r#\"\"#; use std::env;",
    ] {
        assert_ne!(found("src/fold/x.rs", breach), [], "not seen in: {breach}");
    }
    assert_ne!(found("src/model/x.rs", "use crate::fold::Partition;"), []);
    assert_ne!(found("src/model/x.rs", "use serde::de::DeserializeOwned;"), []);
    let lines = "//! Instant\nuse std::fmt;\n\nuse std::{\n    fmt,\n    fs,\n};\n";
    assert_eq!(found("src/fold/x.rs", lines), [(6, "std::fs".to_owned())]);
}

#[test]
fn what_is_allowed_is_not_taken_for_a_breach() {
    for fine in [
        "use std::{collections::{BTreeMap, btree_map}, sync::Arc, time::Duration};",
        "use prefetch_index::prefetch_index;",
        "use crate::model::{Millis, State};",
        "use super::bytes::Reader; use super::super::fold::key;",
        "mod bytes; fn f() { bytes::read() }",
        "// std::time::Instant::now() as f64\n/* tokio */ /// HashMap\nfn f() {}",
        "const A: &str = \"1.5 Instant\"; const B: &[u8] = b\"tokio::spawn\"; const C: &str = r#\"use \"std::fs\"\"#;",
        "fn f(x: ((u8, u8), u8)) -> u8 { x.0.1 + 1.max(2) + (0..=7).count() as u8 + 0x1e3_u8 + 1_usize as u8 }",
        "fn f<'a>(x: &'a str) -> char { let y = '\"'; let z = '\\''; let w = b'\\\\'; 'é' } const D: u64 = 10;",
        "#[cfg(test)]\nmod tests {\n    use proptest::prelude::*;\n    use siphasher::sip128::SipHasher13;\n}",
        "fn f<'a>(x: &'a [u8]) -> impl Iterator<Item = u8> + use<'a> { x.iter().copied() }",
        "fn f(tokio: u8, bytes: u8) -> u8 { tokio + bytes }",
    ] {
        assert_eq!(found("src/fold/x.rs", fine), [], "in: {fine}");
    }
    assert_eq!(found("src/model/x.rs", "use serde::{Deserialize, Serialize};"), []);
}

#[test]
fn every_arrow_that_points_back_is_seen() {
    let arrows = |name: &str, text: &str| wrong_arrows(&Source::new(name, text)).len();
    assert_eq!(arrows("src/wire/x.rs", "use crate::nats::Nats;"), 1);
    assert_eq!(arrows("src/nats/commit/x.rs", "use super::super::super::runtime::Engine;"), 1);
    assert_eq!(arrows("src/nats/x.rs", "use crate::config::Config;"), 1);
    assert_eq!(arrows("src/client/x.rs", "use crate::wire::Named;"), 1);
    assert_eq!(arrows("src/config.rs", "fn f() { crate::fold::GRID_MS }"), 1);
    assert_eq!(arrows("src/runtime/x.rs", "use crate::{cli::Output, model};"), 1);
    assert_eq!(arrows("src/main.rs", "fn main() { presence_engine::runtime::run() }"), 1);
    assert_eq!(arrows("src/cellar/mod.rs", ""), 1);
    assert_eq!(
        arrows("src/cli/x.rs", "use crate::{runtime, nats::Nats, wire, fold, model, config}; use super::output;"),
        0
    );
    assert_eq!(arrows("src/main.rs", "fn main() { presence_engine::cli::main() }"), 0);
    assert_eq!(arrows("src/nats/commit/x.rs", "use super::super::names; use crate::wire::Progress;"), 0);
}
