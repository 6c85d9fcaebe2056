//! What was acknowledged is there after a kill at any moment.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
    thread,
};

use super::*;

/// How many callers write at once, each to three keys of its own.
const CALLERS: usize = 4;

/// The numbers from which the callers of the child go on.
const FROM: &str = "PODWIRE_TEST_FROM";

/// The change that a caller makes as its `n`th.
fn change(caller: usize, n: u64) -> (TopologyKey, Option<Record>) {
    let key = key(&format!("c{caller}-{}", n % 3));
    let record = (n % 7 != 6).then(|| live(&key, n, usize::try_from(n % 5).unwrap()));
    (key, record)
}

/// What a caller's keys hold after its changes before `end`.
fn after(caller: usize, end: u64) -> Records {
    let mut records = Records::new();
    for n in end.saturating_sub(30)..end {
        let (key, record) = change(caller, n);
        records.remove(&key);
        records.extend(record.map(|record| (key, record)));
    }
    records
}

#[test]
fn all_that_was_acknowledged_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(4);
    let mut done = [0_u64; CALLERS];
    let (mut acknowledged, mut more) = (0, 0);
    for round in 0..30 {
        let from = done.map(|n| n.to_string()).join(" ");
        let mut command = again("killed::writes", dir.path());
        let mut child = command.env(FROM, from).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // One in five is killed while it opens.
        let until = if round % 5 == 4 { 0 } else { 1 + random.below(120) };
        let mut moment = random.below(3_000_000);
        if until == 0 {
            thread::sleep(Duration::from_micros(u64::try_from(random.below(40_000)).unwrap()));
            child.kill().unwrap();
        }
        for (count, line) in lines.map_while(Result::ok).filter(|line| line.starts_with("done ")).enumerate() {
            let numbers: Vec<u64> = line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
            let caller = usize::try_from(numbers[0]).unwrap();
            assert_eq!(numbers[1], done[caller], "in order");
            done[caller] += 1;
            acknowledged += 1;
            if count + 1 == until {
                while moment > 0 {
                    moment -= 1;
                    std::hint::spin_loop();
                }
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let found = loaded(&store_in(dir.path()).unwrap());
        for (caller, done) in done.iter_mut().enumerate() {
            let prefix = format!("c{caller}-");
            let its = found.iter().filter(|(key, _)| key.name.as_str().starts_with(&prefix));
            let its: Records = its.map(|(key, record)| (key.clone(), record.clone())).collect();
            // The next one was on its way, and may have come through without an answer.
            if its != after(caller, *done) {
                assert_eq!(its, after(caller, *done + 1), "round {round}, caller {caller} after {done}");
                *done += 1;
                more += 1;
            }
        }
    }
    eprintln!("{acknowledged} changes acknowledged, {more} came through without an answer");
    assert!(acknowledged > 500, "{acknowledged}");
}

#[test]
#[ignore = "run by `all_that_was_acknowledged_is_there_after_a_kill`"]
fn writes() {
    let (Some(dir), Ok(from)) = (env::var_os(STORE), env::var(FROM)) else { return };
    writeln!(std::io::stdout()).unwrap();
    let store = store_in(Path::new(&dir)).unwrap();
    thread::scope(|scope| {
        for (caller, from) in from.split(' ').map(|from| from.parse::<u64>().unwrap()).enumerate() {
            let store = &store;
            scope.spawn(move || {
                for n in from.. {
                    match change(caller, n) {
                        (key, Some(record)) => store.put(&key, &record).unwrap(),
                        (key, None) => store.forget(&key).unwrap(),
                    }
                    writeln!(std::io::stdout(), "done {caller} {n}").unwrap();
                }
            });
        }
    });
}
