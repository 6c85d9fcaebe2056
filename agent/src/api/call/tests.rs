use tonic::service::Routes;
use tower::ServiceExt;

use super::*;
use crate::api::Life;

async fn call(path: &str, who: Option<&str>, body: Body) -> Response<Body> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let request = Request::post(format!("http://agent/{path}"));
    let mut request = request.header("content-type", "application/grpc").body(body).unwrap();
    if let Some(who) = who {
        let caller = Caller::new(who.parse().unwrap(), "a test".to_owned(), Life::default());
        request.extensions_mut().insert(caller);
    }
    let (_sender, policy) = watch::channel(Arc::default());
    CallLayer::new(policy).layer(Routes::new(health)).oneshot(request).await.unwrap()
}

async fn check(body: Body) -> Response<Body> {
    call("grpc.health.v1.Health/Check", Some("a.example"), body).await
}

#[tokio::test]
async fn nobody_gets_in_by_no_door_and_a_stranger_no_further() {
    let code = async |path, who| {
        let response = call(path, who, Body::new("\0\0\0\0\0".to_owned())).await;
        Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
    };
    let (health, list) = ("grpc.health.v1.Health/Check", "podwire.v1.TopologyService/ListTopologies");
    assert_eq!(code(health, None).await, Code::Internal);
    assert_eq!(code(health, Some("a.example")).await, Code::Ok);
    assert_eq!(code(list, Some("a.example")).await, Code::PermissionDenied);
    assert_eq!(code("podwire.v1.TopologyService/NoSuchCall", Some("uid:0")).await, Code::Unimplemented);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_resource_exhausted() {
    // The frame says 0x500001 bytes, and that is enough: nothing of them is read.
    let response = check(Body::new("\0\0\u{50}\0\u{1}".to_owned())).await;
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("4194304 bytes"), "{status}");
}

/// What was written down, in the end.
#[derive(Debug, Default)]
struct Notes(std::sync::Mutex<Vec<super::super::AuditEntry>>);

impl Auditor for Notes {
    fn note(&self, entry: &super::super::AuditEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

#[tokio::test]
async fn who_asks_for_too_much_at_a_time_is_told_of_now_and_then() {
    let notes = Arc::new(Notes::default());
    let (_reporter, health) = tonic_health::server::health_reporter();
    let layer = CallLayer::new(watch::channel(Arc::default()).1).audited(Some(Arc::clone(&notes) as _));
    let who = Caller::new("a.example".parse().unwrap(), "a test".to_owned(), Life::default());
    let other = Caller::new("b.example".parse().unwrap(), "a test".to_owned(), Life::default());
    let full = |of: &Caller| (0..1024).map(|_| layer.load.call(of.peer()).unwrap()).collect::<Vec<_>>();
    let _held = (full(&who), full(&other));
    let call = async |who: &Caller| {
        let request = Request::post("http://agent/grpc.health.v1.Health/Check");
        let mut request = request.body(Body::new("\0\0\0\0\0".to_owned())).unwrap();
        request.extensions_mut().insert(who.clone());
        let response = layer.layer(Routes::new(health.clone())).oneshot(request).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted, "each is told");
    };
    for _ in 0..5 {
        call(&who).await;
    }
    call(&other).await;
    let notes = notes.0.lock().unwrap();
    let told: Vec<_> = notes.iter().map(|note| (note.who.as_str(), note.reason.as_str())).collect();
    assert_eq!(told, [("a.example", "OVERLOADED"), ("b.example", "OVERLOADED")]);
}

#[tokio::test]
async fn a_request_that_is_none_is_its_callers_fault() {
    for body in ["", "\0", "\0\0\0\0", "\0\0\0\0\u{1}", "\0\0\0\0\u{5}ab", "\u{1}\0\0\0\0", "\u{7}\0\0\0\0"] {
        let response = check(Body::new(body.to_owned())).await;
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{body:?}: {status}");
    }
    let status = Status::from_header_map(check(Body::empty()).await.headers()).unwrap();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test]
async fn each_answer_carries_the_id_of_its_call() {
    let response = check(Body::new("\0\0\0\0\0".to_owned())).await;
    assert!(response.headers().contains_key(REQUEST_ID));
    assert!(!response.headers().contains_key(Status::GRPC_STATUS));
}
