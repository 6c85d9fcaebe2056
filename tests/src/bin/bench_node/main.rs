//! `cargo bench-node [--small] [--row NAME]…`: how dear podwire is, against the CNI plugins and against the kernel.
//!
//! Each row compares two sides that are measured in turn, in one run, in a private kernel. It prints one table, and
//! writes JSON and a plot to `target/bench-node`. docs/performance.md says how to read them.

mod bench;
mod figures;
mod floor;
mod lesson;
mod machine;
mod place;
mod plot;
mod plugins;
mod rows;
mod wire;

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use podwire_tests::{binaries, kernel, lab::Lab};
use serde_json::json;

use crate::{
    bench::Bench,
    figures::{Figure, Samples, table},
    rows::GROUPS,
};

/// Argument of the process inside the private kernel.
const INSIDE: &str = "--inside";

const USAGE: &str = "usage: bench-node [--small] [--rounds COUNT] [--out DIR] [--row NAME]…

  --small         few rounds; fails only where a ratio is far from its goal
  --rounds COUNT  that many rounds of each group that has several instead of its own number
  --out DIR       where node.json and node.svg go (default: target/bench-node)
  --row NAME      no plot, and only the group that measures this row; repeatable";

#[derive(Debug, Default)]
struct Options {
    small: bool,
    rounds: Option<usize>,
    out: Option<PathBuf>,
    rows: Vec<String>,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let result = match args.split_first() {
        Some((first, rest)) if first == INSIDE => inside(rest),
        _ => outside(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("bench-node: {error:#}");
        ExitCode::FAILURE
    })
}

/// Builds, and runs this executable again in a private kernel.
fn outside(args: &[OsString]) -> Result<ExitCode> {
    options(args)?;
    plugins::installed()?;
    let folder = binaries::built(if cfg!(debug_assertions) { "dev" } else { "bench" })?;
    let status = Command::new(folder.join("private"))
        .arg(env::current_exe()?)
        .arg(INSIDE)
        .args(args)
        .env(binaries::DIRECTORY, &folder)
        .status()
        .context("enter a private kernel")?;
    Ok(kernel::exit_code(status))
}

fn options(args: &[OsString]) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg}: a value is missing\n{USAGE}"));
        match arg.as_str() {
            "--small" => options.small = true,
            "--rounds" => options.rounds = Some(value()?.parse().context("--rounds")?),
            "--out" => options.out = Some(value()?.into()),
            "--row" => options.rows.push(value()?),
            _ => bail!("`{arg}` is not known\n{USAGE}"),
        }
    }
    let known = |name: &String| GROUPS.iter().any(|group| group.rows.iter().any(|row| row.name == name));
    let names: Vec<&str> = GROUPS.iter().flat_map(|group| group.rows).map(|row| row.name).collect();
    ensure!(options.rows.iter().all(known), "{:?}: the rows are {}", options.rows, names.join(", "));
    Ok(options)
}

fn inside(args: &[OsString]) -> Result<ExitCode> {
    let options = options(args)?;
    let folder = env::current_exe()?.parent().context("a folder")?.to_path_buf();
    let out = options.out.clone().unwrap_or_else(|| folder.join("../bench-node"));
    fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bench = Bench { lab: Lab::new()?, runtime, small: options.small, out: out.clone() };
    let machine = machine::describe();
    say(&format!("{machine}\n"));
    let (mut figures, mut failed, began) = (Vec::new(), false, Instant::now());
    for group in GROUPS {
        let wanted = options.rows.is_empty() || group.rows.iter().any(|row| options.rows.iter().any(|r| r == row.name));
        // A group with one round has its rounds inside.
        let own = group.rounds[usize::from(bench.small)];
        let rounds = options.rounds.filter(|_| own > 1).unwrap_or(own);
        if !wanted || own == 0 && options.rows.is_empty() {
            continue;
        }
        let (mut samples, since) = (Samples::default(), Instant::now());
        // What one group cannot measure does not hide what the others have.
        if let Err(error) = (0..rounds.max(1)).try_for_each(|round| (group.round)(&bench, round, &mut samples)) {
            failed = true;
            eprintln!("{}: {error:#}", group.name);
        }
        eprintln!("{}: {} rounds in {:.0?}, load {}", group.name, rounds, since.elapsed(), machine::load());
        figures.extend(group.rows.iter().map(|row| Figure::of(*row, &samples)));
    }
    say(&table(&figures));
    write(&out, &machine, &figures)?;
    if !bench.small && options.rows.is_empty() {
        fs::write(out.join("node.svg"), plot::svg(&rows::growth(&bench)?, &machine)).context("write node.svg")?;
    }
    eprintln!("all of it took {:.0?}; the samples are in {}", began.elapsed(), out.join("node.json").display());
    let far: Vec<&str> = figures.iter().filter(|each| !each.within_margin).map(|each| each.row.name).collect();
    if bench.small && !far.is_empty() {
        eprintln!("far from what it should be, even unoptimised on a busy machine: {}", far.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn write(out: &Path, machine: &str, figures: &[Figure]) -> Result<()> {
    let rows: Vec<_> = figures.iter().map(Figure::json).collect();
    let all = json!({ "machine": machine, "optimised": !cfg!(debug_assertions), "rows": rows });
    fs::write(out.join("node.json"), serde_json::to_string_pretty(&all)? + "\n").context("write node.json")
}
