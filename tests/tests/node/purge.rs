//! Taking everything of podwire's off a node, and nothing else.

use std::fs;

use podwire_agent::{panel::Purge, store::MemoryStore};
use podwire_proto::v1::CreateNetnsRequest;
use podwire_tests::lab::Lab;

use crate::{
    private,
    recover::{LONG, everything, look, lose_state, parts, said, with_device},
};

/// What looks like podwire's and is not.
fn strangers(lab: &Lab) {
    for name in ["podwirex", "podwire-like", "podwire_retire", "podwire"] {
        lab.ip(&format!("netns add {name}"));
    }
    lab.ip("link add lan type bridge");
    lab.ip("link add a.net9 type bridge");
    let pod = lab.pod("stranger");
    pod.ip("link add net1 type veth peer name net2");
    pod.ip("link add lan type bridge");
    pod.ip("link add x type bridge");
    pod.ip("link property add dev x altname podwire");
    pod.ip("link property add dev net1 altname podwire.Not.A.Mark");
}

#[test]
fn purge_takes_everything_of_every_kind_and_nothing_else() {
    private(async |lab| {
        strangers(lab);
        let mut agent = with_device(lab).await;
        let before = lab.snapshot();
        for lost in [false, true] {
            everything(lab, &agent).await;
            let busy = lab.snapshot();
            let refused = said(&lab.agent().run("purge", &["--yes"]), 1);
            assert!(refused.contains("another agent works with /run/netns"), "says that an agent runs: {refused}");
            busy.assert_same(&lab.snapshot());
            agent.kill();
            if lost {
                lose_state(lab);
            }
            let shown = said(&lab.agent().run("purge", &[]), 0);
            for word in ["lessons/12", "lessons/13", "default/default", "a/net1", "b/net10", "Nothing was changed"] {
                assert!(shown.contains(word), "`{word}` is not in\n{shown}");
            }
            busy.assert_same(&lab.snapshot());
            let done = said(&lab.agent().run("purge", &["--yes"]), 0);
            assert!(done.contains("removed topology lessons/12"), "{done}");
            before.assert_same(&lab.snapshot());
            let again = said(&lab.agent().run("purge", &["--yes"]), 0);
            assert!(!again.contains("removed"), "{again}");
            before.assert_same(&lab.snapshot());
            agent = lab.agent().arg("--node-device").arg("up0").start().await;
        }
    });
}

#[test]
fn purge_goes_on_where_pods_are_gone() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        everything(lab, &agent).await;
        agent.kill();
        lab.ip("netns delete a");
        lab.ip(&format!("netns delete {LONG}"));
        said(&lab.agent().run("purge", &["--yes"]), 0);
        assert_eq!(lab.panels(), Vec::<String>::new());
        assert_eq!(lab.link_names("b"), Vec::<String>::new());
    });
}

#[test]
fn purge_takes_retired_panels_and_leftover_files_and_names_the_pods_that_stay() {
    private(async |lab| {
        lab.pod("a");
        let mut agent = lab.agent().start().await;
        agent.netns().create_netns(CreateNetnsRequest { name: "mine".into() }).await.unwrap();
        agent.kill();
        let before = lab.snapshot();
        lab.ip("netns add podwire_retired.77");
        lab.ip("-n podwire_retired.77 link add lan type bridge");
        lab.ip("netns add podwire.lessons.empty");
        fs::write("/run/netns/podwire.lessons.77", "").unwrap();
        let done = said(&lab.agent().run("purge", &["--yes"]), 0);
        assert!(done.contains("ip netns delete mine") && !done.contains("delete a\n"), "{done}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn an_intent_proves_what_has_lost_its_mark() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        let before = lab.snapshot();
        everything(lab, &agent).await;
        agent.kill();
        let store = MemoryStore::default();
        look().write(&store).unwrap();
        // A DIRECT link and a macvlan whose marks are gone: MAC, group, kind and far end are left.
        for (pod, device, element) in [("a", "net1", "cable.a"), ("b", "net2", "cable.b"), ("b", "net10", "shared")] {
            lab.ip(&format!("-n {pod} link property del dev {device} altname podwire.lessons.12.{element}"));
        }
        let (dir, kernel, pods) = parts();
        let blind = Purge::new(dir.clone(), &kernel, &pods, None).unwrap().preview().unwrap();
        let left: Vec<&str> = blind.left.iter().map(|left| left.what.as_str()).collect();
        assert_eq!(left, ["a/net1", "b/net10", "b/net2"]);
        let purged = Purge::new(dir, &kernel, &pods, Some(&store)).unwrap().carry_out().unwrap();
        assert_eq!((purged.left, purged.removed.len()), (vec![], 3));
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn what_is_not_provably_podwires_is_left_and_told() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        everything(lab, &agent).await;
        agent.kill();
        lose_state(lab);
        let pod = lab.pod("evil");
        pod.ip("link add bare type bridge");
        pod.ip("link set bare group 0x70776972");
        pod.ip("link add said type veth peer name other");
        pod.ip("link property add dev said altname podwire.lessons.12.wire.a");
        lab.ip("netns add podwire.foo");
        let before = lab.snapshot();
        let text = said(&lab.agent().run("purge", &["--yes"]), 1);
        for word in ["evil/bare", "evil/said", "podwire.foo", "has no mark", "not in podwire's device group"] {
            assert!(text.contains(word), "`{word}` is not in\n{text}");
        }
        let after = lab.snapshot();
        for place in ["evil", "podwire.foo"] {
            before.of(place).assert_same(&after.of(place));
        }
        assert_eq!(lab.panels(), ["podwire.foo"]);
        for pod in ["a", "b", LONG] {
            assert_eq!(lab.link_names(pod), Vec::<String>::new());
        }
        pod.ip("link del bare");
        pod.ip("link del said");
        lab.ip("netns delete podwire.foo");
        said(&lab.agent().run("purge", &["--yes"]), 0);
    });
}
