//! `podwire netns`.

use podwire_client::{Client, v1};

use crate::{arguments::Netns, exit::Failure, output::Output, table::Table};

/// Makes, lists or removes named network namespaces.
pub(super) async fn run(client: &Client, netns: Netns, output: &mut Output) -> Result<(), Failure> {
    match netns {
        Netns::Create { names } => {
            let mut made = Vec::new();
            for name in names {
                made.push(client.create_netns(name).await?);
            }
            list(made, output)
        }
        Netns::List => list(client.list_netns().await?, output),
        Netns::Delete { names } => {
            for name in names {
                client.delete_netns(&name).await?;
                output.note(&format!("network namespace {name} is removed"));
            }
            Ok(())
        }
    }
}

/// Writes namespaces.
pub(super) fn list(netns: Vec<v1::Netns>, output: &mut Output) -> Result<(), Failure> {
    if !output.is_table() {
        return output.document("ListNetnsResponse", &v1::ListNetnsResponse { netns });
    }
    if netns.is_empty() {
        return output.text("no network namespaces");
    }
    let mut table = Table::new(["NAME", "PATH", "MADE BY"]);
    for each in netns {
        let maker = if each.owned { "podwire" } else { "somebody else" };
        table.row([each.name, each.path, maker.to_owned()]);
    }
    output.text(&table.render(Output::width()))
}
