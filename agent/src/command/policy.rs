//! `podwire-agent policy check`: what a policy file says, without an agent.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};

use crate::{
    config::read_policy,
    domain::{
        identity::Identity,
        name::Namespace,
        policy::{Policy, Verb},
    },
};

/// Looks at a policy file.
#[derive(Debug, Clone, Args)]
pub struct PolicyCommand {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Clone, Subcommand)]
enum Question {
    /// Whether a file is a policy, and whether it lets somebody do something. No agent is asked.
    ///
    /// Exits with 0 where the file is a policy and allows what was asked; with 1 where it does not allow it; with 3 where the
    /// file cannot be read or is no policy; with 2 where the command line is wrong.
    Check(Check),
}

#[derive(Debug, Clone, Args)]
struct Check {
    /// The policy, YAML.
    file: PathBuf,

    /// Who: a SPIFFE ID, a DNS name, `uid:N` of this node, or `anonymous`.
    #[arg(long = "as", value_name = "ID", requires = "can")]
    who: Option<Identity>,

    /// What and where: read, write, capture, node-device, netns or admin; and a namespace, or `*` for all of them.
    #[arg(long, num_args = 2, value_names = ["VERB", "NAMESPACE"], requires = "who")]
    can: Option<Vec<String>>,
}

/// Asked for, and not so.
const DENIED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// Not a policy.
const INVALID: u8 = 3;

impl PolicyCommand {
    /// Answers on the standard output; what is wrong goes to the standard error.
    pub(super) fn run(&self) -> ExitCode {
        let Question::Check(check) = &self.question;
        match check.answer() {
            Ok((said, allowed)) => {
                drop(writeln!(io::stdout(), "{said}"));
                if allowed { ExitCode::SUCCESS } else { DENIED.into() }
            }
            Err((said, code)) => {
                drop(writeln!(io::stderr(), "error: {said}"));
                code.into()
            }
        }
    }
}

impl Check {
    fn answer(&self) -> Result<(String, bool), (String, u8)> {
        let file = self.file.display();
        let invalid = |error: &dyn std::fmt::Display| (format!("{file}: {error}"), INVALID);
        let bytes = fs::read(&self.file).map_err(|error| invalid(&error))?;
        let policy = read_policy(&bytes).map_err(|error| invalid(&error))?;
        let (Some(who), Some([verb, namespace])) = (&self.who, self.can.as_deref()) else {
            return Ok((format!("{file}: a policy of {} rule(s)", policy.len()), true));
        };
        let usage = |error: &dyn std::fmt::Display| (format!("--can: {error}"), USAGE);
        let verb: Verb = verb.parse().map_err(|error| usage(&error))?;
        let allowed = allows(&policy, who, verb, namespace).map_err(|error| usage(&error))?;
        let place = if namespace == "*" { "all namespaces".to_owned() } else { format!("namespace `{namespace}`") };
        let may = if allowed { "may" } else { "may not" };
        Ok((format!("{who} {may} `{verb}` in {place}"), allowed))
    }
}

fn allows(policy: &Policy, who: &Identity, verb: Verb, namespace: &str) -> Result<bool, String> {
    if namespace == "*" {
        return Ok(policy.allows_everywhere(who, verb));
    }
    let parsed: Namespace = namespace.parse().map_err(|error| format!("`{namespace}` is not a namespace: {error}"))?;
    Ok(policy.allows(who, verb, &parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, who: &str, verb: &str, namespace: &str) -> Result<(String, bool), (String, u8)> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        fs::write(&file, text).unwrap();
        let can = Some(vec![verb.to_owned(), namespace.to_owned()]);
        Check { file, who: Some(who.parse().unwrap()), can }.answer()
    }

    #[test]
    fn it_answers_as_the_agent_would() {
        let text = "rules: [{identities: [a.example], namespaces: ['team-*'], verbs: [read]}]";
        for (who, verb, namespace, allowed) in [
            ("a.example", "read", "team-a", true),
            ("a.example", "write", "team-a", false),
            ("a.example", "read", "lessons", false),
            ("a.example", "read", "*", false),
            ("b.example", "read", "team-a", false),
            ("uid:0", "admin", "*", true),
        ] {
            assert_eq!(check(text, who, verb, namespace).unwrap().1, allowed, "{who} {verb} {namespace}");
        }
        let said = check(text, "a.example", "write", "team-a").unwrap().0;
        assert_eq!(said, "a.example may not `write` in namespace `team-a`");
        assert_eq!(check(text, "a.example", "fly", "x").unwrap_err().1, USAGE);
        assert_eq!(check(text, "a.example", "read", "A").unwrap_err().1, USAGE);
        let (said, code) = check("rules: [{identities: ['*']}]", "a", "read", "x").unwrap_err();
        assert!(code == INVALID && said.contains("policy.yaml") && said.contains("nobody's name"), "{said}");
    }
}
