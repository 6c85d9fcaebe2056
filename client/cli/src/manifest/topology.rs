//! podwire's own topology document: exactly the field names of the message.

use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};

use podwire_proto::v1;

use super::{duration, findings::Findings, node::Node};

/// Reads a topology document. Every problem is found at its place.
pub(crate) fn read(document: &Node, findings: &mut Findings<'_>) -> Option<v1::Topology> {
    let descriptor = DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET)
        .ok()
        .and_then(|pool| pool.get_message_by_name("podwire.v1.Topology"));
    let Some(descriptor) = descriptor else {
        findings.error(document.place, "the contract has no message `podwire.v1.Topology`");
        return None;
    };
    let topology = message(document, &descriptor, "the topology", findings)?;
    topology.transcode_to().ok()
}

fn message(node: &Node, of: &MessageDescriptor, what: &str, findings: &mut Findings<'_>) -> Option<DynamicMessage> {
    match of.full_name() {
        "google.protobuf.Duration" => {
            return well_known(node, of, findings, "a duration such as `1800s`", duration::parse);
        }
        "google.protobuf.Timestamp" => {
            return well_known(node, of, findings, "a time such as `2030-01-01T00:00:00Z`", |text| {
                text.parse::<prost_types::Timestamp>().ok()
            });
        }
        _ => {}
    }
    if !node.is_map() {
        findings.error(node.place, format!("{what} is {}, not a mapping", node.kind()));
        return None;
    }
    let mut message = DynamicMessage::new(of.clone());
    for (key, value) in node.entries() {
        let Some(field) = of.get_field_by_name(&key.text) else {
            let problem = findings.error(key.place, format!("unknown field `{}` of {what}", key.text));
            problem.hint(match nearest(&key.text, of) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("its fields are {}", list(of.fields().map(|field| field.name().to_owned()))),
            });
            continue;
        };
        if value.is_null() {
            continue;
        }
        if let Some(other) =
            field.containing_oneof().and_then(|oneof| oneof.fields().find(|other| message.has_field(other)))
        {
            findings
                .error(key.place, format!("`{}` and `{}` exclude each other in {what}", other.name(), field.name()));
            continue;
        }
        if let Some(value) = field_value(value, &field, findings) {
            message.set_field(&field, value);
        }
    }
    Some(message)
}

fn field_value(node: &Node, field: &FieldDescriptor, findings: &mut Findings<'_>) -> Option<Value> {
    if !field.is_list() {
        return single(node, field, findings);
    }
    let super::node::Value::List(items) = &node.value else {
        findings
            .error(node.place, format!("`{}` is {}, not a list", field.name(), node.kind()))
            .hint("begin each item with `- `");
        return None;
    };
    let items: Vec<_> = items.iter().filter_map(|item| single(item, field, findings)).collect();
    Some(Value::List(items))
}

fn single(node: &Node, field: &FieldDescriptor, findings: &mut Findings<'_>) -> Option<Value> {
    let expected = match field.kind() {
        Kind::Message(of) => {
            return message(node, &of, &format!("`{}`", field.name()), findings).map(Value::Message);
        }
        Kind::Enum(of) => return choice(node, &of, field, findings),
        Kind::String => {
            if let Some(text) = node.text() {
                return Some(Value::String(text.to_owned()));
            }
            "a text"
        }
        Kind::Bool => {
            if let Some(value) = node.boolean() {
                return Some(Value::Bool(value));
            }
            "`true` or `false`"
        }
        Kind::Uint32 => {
            if let Some(value) = node.integer().and_then(|value| u32::try_from(value).ok()) {
                return Some(Value::U32(value));
            }
            "a number from 0 to 4294967295"
        }
        Kind::Uint64 => {
            // JSON of protobuf writes 64 bits in quotes.
            let value = node.text().and_then(|text| text.parse().ok());
            if let Some(value) = value {
                return Some(Value::U64(value));
            }
            "a number from 0 to 18446744073709551615"
        }
        Kind::Double => {
            if let Some(value) = node.number() {
                return Some(Value::F64(value));
            }
            "a number"
        }
        _ => "of a kind that this command knows",
    };
    findings.error(node.place, format!("`{}` is {}, not {expected}", field.name(), shown(node)));
    None
}

fn choice(node: &Node, of: &EnumDescriptor, field: &FieldDescriptor, findings: &mut Findings<'_>) -> Option<Value> {
    if let Some(value) = node.text().and_then(|text| of.get_value_by_name(text)) {
        return Some(Value::EnumNumber(value.number()));
    }
    let names = of.values().filter(|value| value.number() != 0).map(|value| value.name().to_owned());
    let choices = list(names);
    findings
        .error(node.place, format!("`{}` is {}, not one of its choices", field.name(), shown(node)))
        .hint(format!("choose one of {choices}"));
    None
}

fn well_known<M: prost::Message>(
    node: &Node,
    of: &MessageDescriptor,
    findings: &mut Findings<'_>,
    expected: &str,
    parse: impl Fn(&str) -> Option<M>,
) -> Option<DynamicMessage> {
    let Some(value) = node.text().and_then(parse) else {
        findings.error(node.place, format!("{} is not {expected}", shown(node)));
        return None;
    };
    DynamicMessage::decode(of.clone(), value.encode_to_vec().as_slice()).ok()
}

/// A scalar by its text, anything else by its kind.
fn shown(node: &Node) -> String {
    node.text().map_or_else(|| node.kind().to_owned(), |text| format!("`{text}`"))
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The field that the writer may have meant: the same letters in another case or with a letter more or less.
fn nearest(name: &str, of: &MessageDescriptor) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let wanted = plain(name);
    let fields = of.fields().map(|field| field.name().to_owned());
    fields.into_iter().find(|field| {
        let field = plain(field);
        field == wanted || field.strip_suffix('s') == Some(&wanted) || wanted.strip_suffix('s') == Some(&field)
    })
}
