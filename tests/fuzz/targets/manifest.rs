//! Manifests: YAML or JSON of a topology, a lesson, or networks and pods.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podwire_agent::api::fuzzing::{Message, asked};
use podwire_cli::{
    fuzzing::document,
    manifest::{Invalid, Manifest, Options, Source, read},
};
use podwire_proto::v1;

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|byte| *byte == b'\n').count();
    let options = Options { topology: Some("t".to_owned()), ..Options::default() };
    let manifest = match attempt(data, &options) {
        Ok(manifest) => manifest,
        Err(invalid) => return sound(&invalid, lines),
    };
    for warning in &manifest.warnings {
        assert!(!warning.to_string().is_empty());
    }
    let strict = attempt(data, &Options { strict: true, ..options });
    assert_eq!(strict.is_ok(), manifest.warnings.is_empty(), "strict is about warnings, and about nothing else");
    // Written and read again it is the same.
    let text = document(&manifest.topology).expect("it can be written");
    match attempt(text.as_bytes(), &Options::default()) {
        Ok(again) => assert_eq!(again, Manifest { warnings: Vec::new(), ..manifest.clone() }, "{text}"),
        Err(invalid) => panic!("{invalid}\nof\n{text}"),
    }
    // The agent judges it.
    let request = v1::ApplyTopologyRequest { topology: Some(manifest.topology), ..Default::default() };
    if let Err(status) = asked(Message::ApplyTopology(request)) {
        assert!(!status.message().is_empty());
    }
});

fn attempt(bytes: &[u8], options: &Options) -> Result<Manifest, Invalid> {
    read(&[Source::new("x.yaml", bytes.to_vec())?], options)
}

/// There is a problem, and each that is somewhere is in the text.
fn sound(invalid: &Invalid, lines: usize) {
    assert!(!invalid.problems.is_empty());
    for problem in &invalid.problems {
        assert!(!problem.message.is_empty());
        let Some(spot) = &problem.spot else { continue };
        assert!((1..=lines).contains(&spot.line), "line {} of {lines}", spot.line);
        assert!(spot.caret <= spot.excerpt.chars().count() && spot.column > spot.caret.saturating_sub(1), "{spot:?}");
    }
    assert!(!invalid.to_string().is_empty());
}
