use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{
        intent::Generation,
        name::TopologyKey,
        spec::{End, InterfaceId},
    },
    panel::KernelError,
};

/// Bytes of the headers that carry a status, as HTTP/2 counts them: 32 for each.
fn header_bytes(status: &Status) -> usize {
    let response: http::Response<()> = status.clone().into_http();
    response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

fn violations(count: usize, description: &str) -> ChangeError {
    let violation = |i| Violation::new(format!("links[{i}].a.addresses[0]"), description);
    ChangeError::Invalid((0..count).map(violation).collect())
}

#[test]
fn any_number_of_violations_fits_into_the_headers_of_a_strict_client() {
    for description in ["`10.0.0.0/33` is not a CIDR", "ä", &"ü ".repeat(500)] {
        let status = Status::from(violations(10_000, description));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(header_bytes(&status) < 8192, "{}", header_bytes(&status));
        let details = status.get_error_details();
        let fields = details.bad_request().unwrap().field_violations.clone();
        assert!((2..=51).contains(&fields.len()), "{}", fields.len());
        assert_eq!(fields[0].field, "links[0].a.addresses[0]");
        let more = format!("and {} more violations", 10_000 - (fields.len() - 1));
        assert_eq!(fields.last().unwrap().description, more);
    }
}

#[test]
fn a_few_violations_are_all_there() {
    let details = Status::from(violations(30, "`br%d` is not an interface name")).get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations.len(), 30);
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID", "podwire"));
}

#[test]
fn codes_and_reasons_are_those_of_the_contract() {
    let key = TopologyKey::default;
    let interface = || InterfaceId { element: "ab".parse().unwrap(), end: End::A };
    let gone = || KernelError::Vanished("port 3".to_owned());
    let silent = || KernelError::Silent { operation: "RTM_NEWLINK", seconds: 5 };
    let step = |source| ChangeError::Step {
        step: "create veth".to_owned(),
        cost: String::new(),
        undo: None,
        source: Box::new(source),
    };
    let pod = || "lessons/bb1".to_owned();
    let waiting = |state| vec![Unready { interface: "12/w1.a".to_owned(), state, reason: "no cable".to_owned() }];
    for (error, code, reason) in [
        (ChangeError::ManagedByApply(key()), Code::FailedPrecondition, "MANAGED_BY_APPLY"),
        (ChangeError::ManagedByCalls(key()), Code::FailedPrecondition, "MANAGED_BY_CALLS"),
        (ChangeError::NotFound { kind: "bridge", name: "b".to_owned() }, Code::NotFound, "NOT_FOUND"),
        (ChangeError::Fenced { key: key(), stored: Generation(2), given: Generation(1) }, Code::Aborted, "FENCED"),
        (ChangeError::GenerationReused { key: key(), generation: Generation(1) }, Code::Aborted, "GENERATION_REUSED"),
        (
            ChangeError::Limit { what: "ports", subject: "bridge b".to_owned(), limit: 1023 },
            Code::ResourceExhausted,
            "LIMIT",
        ),
        (
            ChangeError::PodRefused {
                interface: interface(),
                pod: "bb1".to_owned(),
                reason: "UID_MISMATCH",
                message: "another".to_owned(),
            },
            Code::FailedPrecondition,
            "UID_MISMATCH",
        ),
        (
            ChangeError::SandboxRefused { pod: pod(), reason: "NOT_CURRENT", message: "another".to_owned() },
            Code::FailedPrecondition,
            "NOT_CURRENT",
        ),
        (
            ChangeError::SandboxFailed { pod: pod(), waiting: waiting(State::Failed) },
            Code::FailedPrecondition,
            "INTERFACE_FAILED",
        ),
        (
            ChangeError::SandboxNotReady { pod: pod(), waiting: waiting(State::Pending) },
            Code::DeadlineExceeded,
            "NOT_READY",
        ),
        (step(gone()), Code::Aborted, "GONE"),
        (step(silent()), Code::Internal, "KERNEL"),
        (ChangeError::Superseded(TopologyKey::default()), Code::Aborted, "SUPERSEDED"),
        (ChangeError::ShuttingDown, Code::Unavailable, "SHUTTING_DOWN"),
    ] {
        let status = Status::from(error);
        assert_eq!(status.code(), code, "{status}");
        assert_eq!(status.get_error_details().error_info().unwrap().reason, reason);
    }
}

#[test]
fn each_interface_of_a_sandbox_that_is_not_ready_is_named() {
    let waiting = |state| Unready { interface: format!("12/{}", word(state)), state, reason: "no cable".to_owned() };
    let waiting = vec![waiting(State::Failed), waiting(State::Degraded)];
    let status = Status::from(ChangeError::SandboxFailed { pod: "lessons/bb1".to_owned(), waiting });
    let message = "pod lessons/bb1 cannot be plugged: 12/FAILED: no cable; 12/DEGRADED: no cable";
    assert_eq!(status.message(), message);
    let violations = status.get_error_details().precondition_failure().unwrap().violations.clone();
    let seen: Vec<_> = violations.iter().map(|each| (each.r#type.as_str(), each.subject.as_str())).collect();
    assert_eq!(seen, [("FAILED", "12/FAILED"), ("DEGRADED", "12/DEGRADED")]);
}

#[test]
fn the_message_is_the_whole_chain() {
    let source = KernelError::Silent { operation: "RTM_GETLINK", seconds: 5 };
    let status = Status::from(ChangeError::Look { key: TopologyKey::default(), source: Box::new(source) });
    let message = "looking at topology default/default failed: RTM_GETLINK: no answer within 5 s";
    assert!(status.message().starts_with(message), "{status}");
}

#[test]
fn each_interface_that_waits_is_a_precondition() {
    use std::{sync::Arc, time::SystemTime};

    use crate::domain::{
        desired::Desired,
        intent::{Intent, Ownership},
        spec::TopologySpec,
        status::InterfaceStatus,
    };
    let seen = |state, reason: &str| InterfaceStatus {
        state,
        reason: reason.to_owned(),
        since: SystemTime::UNIX_EPOCH,
        index: None,
        mtu: None,
        carrier: false,
        skipped_routes: Vec::new(),
        sandbox: None,
    };
    let id = |end| InterfaceId { element: "ab".parse().unwrap(), end };
    let intent = Intent {
        spec: TopologySpec::empty(TopologyKey::default()),
        ownership: Ownership::Apply,
        generation: Generation(0),
        applied_at: Generation(0),
        applied: None,
        assigned: BTreeMap::new(),
    };
    let view = TopologyView {
        intent: Arc::new(intent),
        desired: Arc::new(Desired::nothing(TopologyKey::default())),
        interfaces: [(id(End::A), seen(State::Ready, "")), (id(End::B), seen(State::Pending, "there is no pod bb2"))]
            .into(),
        since: SystemTime::UNIX_EPOCH,
        ports: BTreeMap::new(),
        lease_expires: None,
        panel: String::new(),
        trouble: None,
    };
    let status = Status::from(ChangeError::NotReady(Box::new(view)));
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let details = status.get_error_details();
    let waiting = &details.precondition_failure().unwrap().violations;
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].r#type.as_str(), waiting[0].subject.as_str()), ("PENDING", "ab.b"));
    assert_eq!(waiting[0].description, "there is no pod bb2");
}

proptest! {
    #[test]
    fn no_text_makes_a_status_too_large(text in "\\PC*", times in 1usize..2000) {
        let name = text.repeat(times);
        let status = Status::from(ChangeError::BridgeInUse { bridge: name.clone(), attachments: vec![name] });
        prop_assert!(header_bytes(&status) < 8192, "{}", header_bytes(&status));
    }
}

#[test]
fn whose_a_claim_is_only_those_are_told_who_may_see_it() {
    let owner = || Box::new(TopologyKey { namespace: "yours".parse().unwrap(), name: "secret".parse().unwrap() });
    let (field, parent) = (String::new, || "up0".to_owned());
    let errors = || {
        [
            AssignError::NameTaken { field: field(), name: "net1".into(), pod: "p".into(), owner: owner() },
            AssignError::AddressTaken {
                field: field(),
                address: [10, 0, 0, 1].into(),
                parent: parent(),
                owner: owner(),
            },
            AssignError::VlanTaken { field: field(), vlan: 7.try_into().unwrap(), parent: parent(), owner: owner() },
        ]
    };
    for (open, closed) in errors().into_iter().zip(errors()) {
        let told = veiled(ChangeError::Assign(open), |namespace| namespace.as_str() == "yours");
        assert!(told.message().contains("yours/secret"), "{told:?}");
        let veiled = veiled(ChangeError::Assign(closed), |namespace| namespace.as_str() == "mine");
        let reason = |status: &Status| status.get_details_error_info().unwrap().reason;
        assert_eq!((veiled.code(), reason(&veiled)), (told.code(), reason(&told)));
        assert!(veiled.message().ends_with("choose another one") || veiled.message().ends_with("or none"));
        let everything = format!("{veiled:?} {:?}", veiled.get_error_details());
        assert!(!everything.contains("yours") && !everything.contains("secret"), "{everything}");
    }
}
