use crate::pods::Source;

use super::*;

fn parse(arguments: &[&str]) -> Result<Arguments, String> {
    let all = std::iter::once("podwire-agent").chain(arguments.iter().copied());
    let matches = Program::command().try_get_matches_from(all).map_err(|error| error.to_string())?;
    Arguments::read(&matches).map_err(|error| error.to_string())
}

#[test]
fn without_a_subcommand_it_is_the_agent_with_all_its_flags() {
    let Ok(Arguments::Agent(config)) = parse(&["--state-dir", "/s", "--max-topologies", "7"]) else { panic!() };
    assert_eq!((config.state_dir.to_str(), config.max_topologies), (Some("/s"), 7));
    let error = parse(&["--listen", "tcp://127.0.0.1:0"]).unwrap_err();
    assert!(error.contains("--insecure-plaintext-tcp"), "{error}");
}

#[test]
fn a_subcommand_has_its_settings_behind_it() {
    let arguments = parse(&["purge", "--state-dir", "/s", "--netns-dir", "/n"]);
    let Ok(Arguments::Command(Command::Purge(purge))) = arguments else { panic!() };
    assert_eq!((purge.place.state_dir.to_str(), purge.place.netns_dir.to_str()), (Some("/s"), Some("/n")));
    assert!(!purge.yes);
}

#[test]
fn a_flag_before_a_subcommand_is_refused_instead_of_ignored() {
    let error = parse(&["--state-dir", "/s", "purge", "--yes"]).unwrap_err();
    assert!(error.contains("--state-dir") && error.contains("`purge`"), "{error}");
    let error = parse(&["--allow-netns", "recover"]).unwrap_err();
    assert!(error.contains("--allow-netns") && error.contains("`recover`"), "{error}");
}

#[test]
fn a_subcommand_finds_pods_as_the_agent_does() {
    let socket = ["purge", "--cri-socket", "/run/x.sock"];
    let Ok(Arguments::Command(command)) = parse(&socket) else { panic!() };
    assert_eq!(command.place().unwrap().pods.source(), Source::Cri { socket: Some("/run/x.sock".into()) });
    let error = parse(&[&socket[..], &["--pods", "netns"]].concat()).unwrap_err();
    assert!(error.contains("--pods netns") && error.contains("--cri-socket"), "{error}");
    let Ok(Arguments::Command(command)) = parse(&["recover", "--pods", "announced"]) else { panic!() };
    assert_eq!(command.place().unwrap().pods.source(), Source::Announced);
}

#[test]
fn a_topology_is_named_as_it_is_shown() {
    let arguments = parse(&["recover", "--adopt", "lessons/12", "--adopt", "default/default", "--remove", "a/b"]);
    let Ok(Arguments::Command(Command::Recover(recover))) = arguments else { panic!() };
    let shown: Vec<String> = recover.adopt.iter().chain(&recover.remove).map(ToString::to_string).collect();
    assert_eq!(shown, ["lessons/12", "default/default", "a/b"]);
    for bad in ["12", "a/b/c", "a/", "A/b"] {
        let error = parse(&["recover", "--adopt", bad]).unwrap_err();
        assert!(error.contains(bad) && error.contains("--adopt"), "{error}");
    }
}
