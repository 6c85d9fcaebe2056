use clap::Parser;

use crate::pods::Source;

use super::*;

fn parse(arguments: &[&str]) -> Result<Config, String> {
    let all = std::iter::once("podwire-agent").chain(arguments.iter().copied());
    Config::try_parse_from(all).map_err(|error| error.to_string())
}

#[test]
fn the_default_is_a_private_unix_socket() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.listen, [Endpoint::Unix("/run/podwire/agent.sock".into())]);
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.drain_timeout(), Duration::from_secs(10));
    assert!(!config.engine().node_name.is_empty());
}

#[test]
fn plain_tcp_has_to_be_asked_for_by_its_name() {
    let address = "tcp://127.0.0.1:0";
    let config = parse(&["--listen", address]).unwrap();
    assert_eq!(config.check(), Err(ConfigError::PlaintextTcp(address.parse().unwrap())));
    assert!(config.check().unwrap_err().to_string().contains(address));
    let config = parse(&["--listen", address, "--listen", "unix:///a/b", "--insecure-plaintext-tcp"]).unwrap();
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.listen.len(), 2);
}

#[test]
fn a_bad_value_is_refused_with_its_name_and_value() {
    let long = format!("unix:///{}", "x".repeat(107));
    for (flag, value) in [
        ("--listen", "unix://agent.sock"),
        ("--listen", "unix:///run/"),
        ("--listen", long.as_str()),
        ("--listen", "/run/agent.sock"),
        ("--listen", "http://localhost"),
        ("--listen", "tcp://localhost"),
        ("--listen", "tcp://127.0.0.1"),
        ("--pods", "docker"),
        ("--cri-socket", "containerd.sock"),
        ("--cri-socket", "tcp://127.0.0.1:1"),
        ("--netns-dir", "netns"),
        ("--state-dir", "./state"),
        ("--node-device", "br%d"),
        ("--max-topologies", "0"),
        ("--drain-timeout", "-1"),
        ("--drain-timeout", "10s"),
        ("--log-format", "xml"),
        ("--log-level", "a=b=c"),
    ] {
        let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
        assert!(error.contains(flag) && error.contains(value), "{flag} {value}: {error}");
    }
}

#[test]
fn an_endpoint_reads_back() {
    for text in ["unix:///run/podwire/agent.sock", "tcp://127.0.0.1:7001", "tcp://[::1]:7001"] {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
    }
}

#[test]
fn brackets_may_stand_around_any_address() {
    assert_eq!("tcp://[127.0.0.1]:7001".parse(), "tcp://127.0.0.1:7001".parse::<Endpoint>());
    for wrong in
        ["tcp://[127.0.0.1]", "tcp://[127.0.0.1]7001", "tcp://[localhost]:7001", "tcp://[]:7001", "tcp://::1:7001"]
    {
        assert_eq!(wrong.parse::<Endpoint>(), Err(EndpointError::Address), "{wrong}");
    }
}

#[test]
fn the_socket_of_a_runtime_goes_with_a_runtime() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.pods.source(), Source::Cri { socket: None }, "the default");
    for text in ["/run/x.sock", "unix:///run/x.sock"] {
        let config = parse(&["--cri-socket", text]).unwrap();
        assert_eq!(
            (config.pods.source(), config.check()),
            (Source::Cri { socket: Some("/run/x.sock".into()) }, Ok(()))
        );
    }
    for (name, pods) in [("netns", PodSource::Netns), ("announced", PodSource::Announced)] {
        let config = parse(&["--pods", name, "--cri-socket", "/run/x.sock"]).unwrap();
        assert_eq!(config.check(), Err(ConfigError::UnusedSocket { socket: "/run/x.sock".into(), pods }));
    }
}
