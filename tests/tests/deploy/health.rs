//! `podwire-agent health`, as a kubelet runs it.

use std::{
    os::unix::net::UnixListener,
    process::Command,
    time::{Duration, Instant},
};

use podwire_tests::lab::Lab;

use crate::private;

/// Exit code, output and time of `podwire-agent health …`.
fn health(lab: &Lab, args: &[&str]) -> (Option<i32>, String, Duration) {
    let started = Instant::now();
    let output = Command::new(lab.binary("podwire-agent")).arg("health").args(args).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said, started.elapsed())
}

#[test]
fn a_running_agent_is_live_and_ready() {
    private(async |lab| {
        let _agent = lab.agent().start().await;
        for question in ["--live", "--ready"] {
            let (code, said, _) = health(lab, &[question]);
            assert_eq!((code, said.lines().count()), (Some(0), 1), "{question}: {said}");
        }
    });
}

#[test]
fn on_tcp_it_is_asked_there() {
    private(async |lab| {
        let at = "tcp://127.0.0.1:7411";
        let _agent = lab.agent().listen(at).arg("--insecure-plaintext-tcp").start().await;
        assert_eq!(health(lab, &["--ready", "--listen", at]).0, Some(0));
        assert_eq!(health(lab, &["--ready"]).0, Some(1), "nothing is at the default");
    });
}

#[test]
fn where_there_is_no_agent_it_says_so() {
    private(async |lab| {
        for question in ["--live", "--ready"] {
            let (code, said, _) = health(lab, &[question]);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("unix:///run/podwire/agent.sock") && said.contains("No such file"), "{said}");
        }
    });
}

#[test]
fn an_agent_that_hangs_is_not_waited_for() {
    private(async |lab| {
        // It accepts, since the kernel does, and never answers.
        let _hangs = UnixListener::bind("/run/lab/hangs.sock").unwrap();
        let (code, said, took) = health(lab, &["--live", "--listen", "unix:///run/lab/hangs.sock"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("no answer") && said.contains("800 ms"), "{said}");
        // 0.8 s and what a loaded machine adds. Who waits for the agent waits for ever.
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn what_else_answers_there_is_no_agent() {
    private(async |lab| {
        let listener = UnixListener::bind("/run/lab/other.sock").unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                std::io::Write::write_all(&mut connection.unwrap(), b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
            }
        });
        let (code, said, _) = health(lab, &["--live", "--listen", "unix:///run/lab/other.sock"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("/run/lab/other.sock"), "{said}");
    });
}

#[test]
fn it_wants_to_know_which_question_is_asked() {
    private(async |lab| {
        for args in [&[][..], &["--live", "--ready"]] {
            let (code, said, _) = health(lab, args);
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains("--live"), "{said}");
        }
    });
}
