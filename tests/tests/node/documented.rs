//! What the documents say of the kernel is what the agent asks of it.

use std::fs;

use podwire_proto::v1::GetNodeRequest;

use crate::private;

#[test]
fn the_table_of_what_the_kernel_must_have_is_what_doctor_looks_at() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let node = agent.node().get_node(GetNodeRequest {}).await.unwrap().into_inner();
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let page = fs::read_to_string(page).unwrap();
        let rows = page.lines().skip_while(|line| !line.starts_with("| capability |")).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let written: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).skip(1).take(2).collect()).collect();
        let found: Vec<Vec<String>> = node
            .capabilities
            .iter()
            .map(|capability| vec![format!("`{}`", capability.name), capability.used_for.clone()])
            .collect();
        assert_eq!(written, found);
    });
}
