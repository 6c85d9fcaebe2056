//! Messages of the contract from the bytes of an input: as JSON, which mutates well, or as protobuf.

use std::sync::LazyLock;

use podwire_proto::v1::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage};

/// A message of package `podwire.v1` as JSON or, where it is none, as protobuf.
pub fn message<M: Message + Default>(name: &str, bytes: &[u8]) -> Option<M> {
    if bytes.first() == Some(&b'{') { json(name, bytes) } else { M::decode(bytes).ok() }
}

fn json<M: Message + Default>(name: &str, text: &[u8]) -> Option<M> {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the contract"));
    let descriptor = POOL.get_message_by_name(&format!("podwire.v1.{name}")).expect("a message of the contract");
    let mut reader = serde_json::Deserializer::from_slice(text);
    // One wrong key shall not hide the others.
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(descriptor, &mut reader, &options).ok()?;
    M::decode(message.encode_to_vec().as_slice()).ok()
}
