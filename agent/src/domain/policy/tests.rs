use proptest::prelude::*;

use super::{pattern::glob, *};

fn rule(identities: &[&str], namespaces: &[&str], verbs: &[Verb]) -> Rule {
    Rule {
        identities: identities.iter().map(|text| text.parse().unwrap()).collect(),
        namespaces: namespaces.iter().map(|text| text.parse().unwrap()).collect(),
        verbs: verbs.iter().copied().collect(),
    }
}

fn who(text: &str) -> Identity {
    text.parse().unwrap()
}

fn place(text: &str) -> Namespace {
    text.parse().unwrap()
}

#[test]
fn what_no_rule_allows_is_not_allowed_but_to_root() {
    let none = Policy::default();
    for verb in Verb::ALL {
        for text in ["uid:1", "anonymous", "a.b", "spiffe://td/a"] {
            assert!(!none.allows(&who(text), verb, &place("lessons")), "{text}");
            assert!(!none.knows(&who(text)) && !none.allows_somewhere(&who(text), verb));
        }
        assert!(none.allows(&who("uid:0"), verb, &place("lessons")));
        assert!(none.allows_everywhere(&who("uid:0"), verb));
    }
}

#[test]
fn a_rule_joins_each_of_its_parts_and_two_rules_do_not_mix() {
    let policy = Policy::new(vec![
        rule(&["spiffe://td/ns/*/sa/sched"], &["lessons", "team-*"], &[Verb::Read, Verb::Write]),
        rule(&["viewer.example"], &["*"], &[Verb::Read]),
    ]);
    let sched = who("spiffe://td/ns/prod/sa/sched");
    for (namespace, expected) in [("lessons", true), ("team-a", true), ("team", false), ("other", false)] {
        for verb in Verb::ALL {
            let expected = expected && matches!(verb, Verb::Read | Verb::Write);
            assert_eq!(policy.allows(&sched, verb, &place(namespace)), expected, "{verb} {namespace}");
        }
    }
    let viewer = who("viewer.example");
    assert!(policy.allows_everywhere(&viewer, Verb::Read) && !policy.allows_everywhere(&sched, Verb::Read));
    assert!(!policy.allows_somewhere(&viewer, Verb::Write), "the other rule's verb");
    assert!(policy.knows(&viewer) && !policy.knows(&who("viewer.example.org")));
}

#[test]
fn a_star_stays_within_its_part() {
    for (pattern, text, expected) in [
        ("spiffe://td/ns/*/sa/x", "spiffe://td/ns/a/sa/x", true),
        ("spiffe://td/ns/*/sa/x", "spiffe://td/ns/a/sa/y/sa/x", false),
        ("spiffe://td/*", "spiffe://td/a", true),
        ("spiffe://td/*", "spiffe://td/a/b", false),
        ("spiffe://td/*", "spiffe://td", false),
        ("spiffe://td/a*z", "spiffe://td/abcz", true),
        ("spiffe://td", "spiffe://td", true),
        ("spiffe://td/a", "spiffe://td/A", false),
        ("spiffe://a.b/x", "spiffe://a.b/x", true),
        ("*.example", "a.example", true),
        ("*.EXAMPLE", "a.example", true),
        ("*.example", "a.b.example", false),
        ("*.example", "example", false),
        ("uid:1", "uid:1", true),
        ("uid:1", "uid:11", false),
        ("anonymous", "anonymous", true),
        ("anonymous*", "anonymous", false),
        ("td", "spiffe://td", false),
    ] {
        let parsed: IdentityPattern = pattern.parse().unwrap();
        assert_eq!(parsed.matches(&who(text)), expected, "{pattern} {text}");
    }
}

#[test]
fn what_would_be_misread_is_refused() {
    for text in ["*", "", "spiffe://*/a", "spiffe://*", "https://a/*", "uid:*", "a b", "*:*", "spiffe://td/a/", "-a"] {
        assert!(text.parse::<IdentityPattern>().is_err(), "{text}");
    }
    for text in ["", "A", "a/b", "a.b", "?", "[ab]", &"x".repeat(64)] {
        assert!(text.parse::<NamespacePattern>().is_err(), "{text}");
    }
    assert!("readwrite".parse::<Verb>().unwrap_err().to_string().contains("node-device"));
}

#[test]
fn a_change_for_somebody_else_is_none_for_me() {
    let mine = rule(&["me.example"], &["a"], &[Verb::Read]);
    let before = Policy::new(vec![mine.clone()]);
    let after = Policy::new(vec![rule(&["you.example"], &["b"], &[Verb::Read]), mine]);
    assert!(before.is_same_for(&after, &who("me.example"), Verb::Read));
    assert!(!before.is_same_for(&after, &who("you.example"), Verb::Read));
    assert!(before.is_same_for(&Policy::default(), &who("uid:0"), Verb::Read));
}

/// What a pattern means, as plainly as it can be said.
fn means(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| means(rest, &text[skip..])),
        Some((wanted, rest)) => text.split_first().is_some_and(|(first, text)| first == wanted && means(rest, text)),
    }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let identity =
        prop::sample::select(vec!["a.example", "*.example", "spiffe://td/a", "spiffe://td/*", "uid:7", "anonymous"]);
    let namespace = prop::sample::select(vec!["*", "lessons", "less*", "other", "*s"]);
    let verbs = prop::collection::btree_set(prop::sample::select(Verb::ALL.to_vec()), 1..4);
    let rule = (identity, namespace, verbs).prop_map(|(who, place, verbs)| Rule {
        identities: vec![who.parse().unwrap()],
        namespaces: vec![place.parse().unwrap()],
        verbs,
    });
    prop::collection::vec(rule, 0..6)
}

fn callers() -> impl Strategy<Value = Identity> {
    let texts = vec!["a.example", "b.example", "spiffe://td/a", "spiffe://td/b", "uid:7", "uid:8", "anonymous"];
    prop::sample::select(texts).prop_map(who)
}

proptest! {
    #[test]
    fn a_glob_is_what_it_means(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        prop_assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), means(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn a_name_without_a_star_matches_itself_only(text in "[a-z]{1,6}(\\.[a-z]{1,6}){0,2}", other in "[a-z.]{1,14}") {
        prop_assume!(text != "anonymous");
        let pattern: IdentityPattern = text.parse().unwrap();
        prop_assert!(pattern.matches(&who(&text)));
        if let Ok(identity) = other.parse::<Identity>() {
            prop_assert_eq!(pattern.matches(&identity), other == text);
        }
    }

    #[test]
    fn one_more_rule_takes_nothing_away(rules in rules(), more in rules(), caller in callers()) {
        let few = Policy::new(rules.clone());
        let many = Policy::new(rules.into_iter().chain(more).collect());
        for verb in Verb::ALL {
            for namespace in ["lessons", "other", "x"].map(place) {
                prop_assert!(!few.allows(&caller, verb, &namespace) || many.allows(&caller, verb, &namespace));
            }
        }
    }

    #[test]
    fn the_order_of_the_rules_makes_no_difference(rules in rules(), caller in callers()) {
        let there = Policy::new(rules.clone());
        let back = Policy::new(rules.into_iter().rev().collect());
        for verb in Verb::ALL {
            prop_assert!(there.is_same_for(&back, &caller, verb));
            prop_assert_eq!(there.allows(&caller, verb, &place("lessons")), back.allows(&caller, verb, &place("lessons")));
        }
    }

    #[test]
    fn everywhere_is_somewhere_and_somewhere_is_known(rules in rules(), caller in callers(), verb in prop::sample::select(Verb::ALL.to_vec())) {
        let policy = Policy::new(rules);
        if policy.allows_everywhere(&caller, verb) {
            prop_assert!(policy.allows(&caller, verb, &place("a-name-that-no-rule-has")));
        }
        if policy.allows(&caller, verb, &place("lessons")) {
            prop_assert!(policy.allows_somewhere(&caller, verb) && policy.knows(&caller));
        }
    }
}
