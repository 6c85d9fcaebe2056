//! Filter expressions, compiled by `tcpdump`.

use std::{
    env, io,
    path::PathBuf,
    process::{Command, Stdio},
};

use podwire_client::v1::BpfInstruction;

use crate::exit::Failure;

/// Where `tcpdump` lives besides the search path: not everybody has the administrator's directories in it.
const ALSO: [&str; 3] = ["/usr/sbin", "/usr/bin", "/sbin"];

/// Compiles an expression of pcap-filter(7) for Ethernet frames.
pub(super) fn compile(expression: &str) -> Result<Vec<BpfInstruction>, Failure> {
    match run(expression)? {
        Ok(program) => parse(&program).ok_or_else(|| Failure::Usage {
            problem: format!("`tcpdump -ddd` printed no program for `{expression}`: {program}"),
            hint: "is it the tcpdump of tcpdump.org?".to_owned(),
        }),
        Err(words) => Err(Failure::Usage { problem: words, hint: position(expression)? }),
    }
}

/// What `tcpdump` prints, or what it says against the expression.
fn run(expression: &str) -> Result<Result<String, String>, Failure> {
    let mut command = Command::new(find().ok_or_else(absent)?);
    // No shell; and after `--` nothing of the expression is an option.
    command.args(["-ddd", "-y", "EN10MB", "--", expression]).stdin(Stdio::null());
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => absent(),
        _ => Failure::Output(error),
    })?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok(if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) })
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain(ALSO.iter().map(PathBuf::from));
    folders.find_map(|folder| Some(folder.join("tcpdump")).filter(|program| program.is_file()))
}

fn absent() -> Failure {
    Failure::Usage {
        problem: "a filter is compiled by `tcpdump`, and there is none on this machine".to_owned(),
        hint: "install it (Debian: `apt install tcpdump`), or capture everything and filter when reading".to_owned(),
    }
}

/// Where the mistake is. tcpdump does not say, but it says how much of the beginning it takes.
fn position(expression: &str) -> Result<String, Failure> {
    let mut begins = expression.char_indices().filter(|(at, _)| *at > 0);
    let ends: Vec<usize> = begins
        .by_ref()
        .filter(|(at, c)| c.is_whitespace() && !expression[..*at].ends_with(char::is_whitespace))
        .map(|(at, _)| at)
        .collect();
    for end in ends.into_iter().rev() {
        if run(&expression[..end])?.is_ok() {
            let rest = expression[end..].len() - expression[end..].trim_start().len() + end;
            let column = expression[..rest].chars().count();
            return Ok(format!(
                "up to column {column} it compiles, with what follows not:\n  {expression}\n  {:column$}^",
                ""
            ));
        }
    }
    Ok(format!("not even its first word compiles by itself:\n  {expression}\n  ^"))
}

/// Reads what `tcpdump -ddd` prints: the number of instructions, then one on each line.
pub(crate) fn parse(text: &str) -> Option<Vec<BpfInstruction>> {
    let mut lines = text.lines();
    let count: usize = lines.next()?.trim().parse().ok()?;
    let program: Option<Vec<_>> = lines.map(instruction).collect();
    program.filter(|program| program.len() == count && count > 0)
}

fn instruction(line: &str) -> Option<BpfInstruction> {
    let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().ok());
    let mut next = || numbers.next().flatten();
    Some(BpfInstruction { code: next()?, jt: next()?, jf: next()?, k: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_as_tcpdump_prints_it() {
        let program = parse("4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n").unwrap_or_default();
        assert_eq!(program.len(), 4);
        assert_eq!(program[1], BpfInstruction { code: 21, jt: 0, jf: 1, k: 2054 });
        for text in ["", "x", "2\n6 0 0 0\n", "1\n6 0 0\n", "0\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
