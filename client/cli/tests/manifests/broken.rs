use podwire_cli::manifest::{Options, Source, read};

use crate::{definition, errors, input, pod, texts};

#[test]
fn the_published_pods_name_the_line_and_the_lost_indentation() {
    let options = Options { topology: Some("triangle".to_owned()), ..Options::default() };
    let invalid =
        read(&[input("busybox_networks.yaml"), input("busybox_pods.as-published.yaml")], &options).unwrap_err();
    insta::assert_snapshot!(invalid.to_string(), @r"
    error: `metadata` is empty and `name`, `labels`, `annotations` stand at its own level
     --> busybox_pods.as-published.yaml:5:1
      |
    5 | name: bb1
      | ^
    hint: the indentation is lost: indent `name`, `labels`, `annotations` and what is below them by two spaces, under `metadata:`

    error: `spec` is empty and `affinity` stands at its own level
      --> busybox_pods.as-published.yaml:16:1
       |
    16 | affinity:
       | ^
    hint: the indentation is lost: indent `affinity` and what is below it by two spaces, under `spec:`

    error: mapping values are not allowed in this context
      --> busybox_pods.as-published.yaml:28:10
       |
    28 |     image: busybox
       |          ^
    hint: YAML nests by indentation: compare the start of this line with the lines above it
    ");
}

#[test]
fn an_object_whose_sections_are_empty_is_an_error_even_where_it_parses() {
    let slid = "apiVersion: v1\nkind: Pod\nmetadata:\nname: bb1\nspec:\ncontainers: []\n";
    assert_eq!(
        errors(texts(&[slid]))[..2],
        [
            "1.yaml:4:1 `metadata` is empty and `name` stands at its own level",
            "1.yaml:6:1 `spec` is empty and `containers` stands at its own level"
        ]
    );
}

#[test]
fn a_problem_inside_the_json_of_a_definition_points_into_the_manifest() {
    let text = "kind: NetworkAttachmentDefinition\nmetadata: {name: n}\nspec:\n  config: '{\n      \"type\": \"bridge\",\n      \"ipam\": {\n        \"type\": \"host-local\",\n        \"subnet\": \"10.0.0.5/24\"\n      }\n    }'\n";
    let invalid = texts(&[text, &pod("a", "n")]).unwrap_err();
    insta::assert_snapshot!(invalid.problems[0], @r#"
    error: subnet `10.0.0.5/24` of definition `n` has host bits
     --> 1.yaml:8:19
      |
    8 |         "subnet": "10.0.0.5/24"
      |                   ^
    hint: write `10.0.0.0/24`
    "#);
}

#[test]
fn json_that_is_none_is_an_error_at_its_place() {
    let text = definition("n", "{\n  \"type\": \"bridge\"\n  \"mtu\": 1500\n}");
    assert_eq!(
        errors(texts(&[&text]))[0],
        "1.yaml:9:7 `spec.config` of definition `n` is not JSON: expected `,` or `}`"
    );
    let text = pod("a", "[ { \"name\": \"n\" ");
    let found = errors(texts(&[&text]));
    assert!(found[0].contains("annotation `k8s.v1.cni.cncf.io/networks` of pod `a` is not JSON: EOF"), "{found:?}");
}

#[test]
fn escapes_in_double_quotes_do_not_shift_places() {
    let text =
        "kind: NetworkAttachmentDefinition\nmetadata: {name: n}\nspec: {config: \"{\\\"type\\\": \\\"ipvlan\\\"}\"}\n";
    assert_eq!(
        errors(texts(&[text]))[0],
        "1.yaml:3:29 plugin type `ipvlan` of definition `n` is not one of `bridge`, `macvlan`"
    );
}

#[test]
fn json_below_its_key_is_read_as_kubectl_reads_it() {
    let text = "kind: NetworkAttachmentDefinition\nmetadata: {name: n}\nspec:\n    config: '{\n    \"type\": \"bridge\",\n\"ipam\": {\"type\": \"nope\"}\n    }'\n---\nkind: Service\n";
    assert_eq!(
        errors(texts(&[text]))[..2],
        [
            "1.yaml:6:18 IPAM type `nope` of definition `n` is not one of `host-local`, `static`",
            "1.yaml:9:7 objects of kind `Service` are ignored"
        ]
    );
}

#[test]
fn what_a_broken_file_would_have_defined_is_not_missed() {
    let found = errors(texts(&["kind: [\n", &pod("a", "n")]));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn byte_order_marks_and_carriage_returns_are_no_problem() {
    let text = definition("n", "{\n  \"type\": \"bridge\"\n}") + "---\n" + &pod("a", "[\n{ \"name\": \"n\" } ]");
    let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(crate::plugs(&texts(&[&text]).unwrap()), ["a-net1: a net1 1 -> cni0"]);
}

#[test]
fn a_quote_that_is_not_closed_is_an_error_where_it_shows() {
    assert_eq!(errors(texts(&["a: 'b\nc: d\n"]))[0], "1.yaml:2:1 invalid indentation in multiline quoted scalar");
}

#[test]
fn what_is_too_large_too_deep_or_not_text_is_refused() {
    let large = Source::new("big.yaml", vec![b' '; 4 * 1024 * 1024 + 1]).unwrap_err();
    assert_eq!(large.problems[0].message, "`big.yaml` is larger than 4 MiB");
    let binary = Source::new("b.yaml", b"a: 1\nb: \xff\n".to_vec()).unwrap_err();
    let binary = &binary.problems[0];
    let spot = binary.spot.as_ref().unwrap();
    assert_eq!((binary.message.as_str(), spot.line, spot.column), ("not UTF-8", 2, 4));
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(errors(texts(&[&deep])).len(), 1);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    assert!(errors(texts(&[bomb]))[0].ends_with("more than 500000 values"));
}

#[test]
fn empty_files_and_lists_are_no_topology() {
    assert_eq!(errors(texts(&[""])), ["the manifests are empty"]);
    assert_eq!(errors(texts(&["- a\n"])), ["1.yaml:1:1 a document that is a list, not a mapping"]);
    assert_eq!(errors(texts(&["a: 1\na: 2\n"])), ["1.yaml:2:1 key `a` is there twice"]);
}

#[test]
fn a_merge_makes_no_mapping_with_more_keys_than_may_be_written() {
    let base = |from: usize| (from..from + 1000).map(|key| format!("k{key}: ")).collect::<Vec<_>>().join(",");
    let topology = |bases: &[usize]| {
        let bases: Vec<_> = bases.iter().map(|from| format!("{{{}}}", base(*from))).collect();
        format!("name: t\n<<: [{}]\n", bases.join(","))
    };
    // The same keys again are none more.
    let few = errors(texts(&[&topology(&[0, 1000, 0, 1000])])).join(" ");
    assert!(few.contains("unknown field") && !few.contains("keys"), "{few}");
    let many = errors(texts(&[&topology(&[0, 1000, 2000])])).join(" ");
    assert!(many.contains("more than 2048 keys"), "{many}");
}
