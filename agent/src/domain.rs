//! What a valid name, address, topology and plan is. Pure: no tokio, no protobuf, no syscalls.

pub mod adopt;
pub mod assign;
pub mod bpf;
pub mod bridge;
pub mod check;
pub mod desired;
pub mod device;
pub mod edit;
pub mod identity;
pub mod if_name;
pub mod impairment;
pub mod intent;
pub mod ipam;
pub mod mac;
pub mod mtu;
pub mod name;
pub mod observed;
pub mod order;
pub mod plan;
pub mod policy;
pub mod queue;
pub mod quota;
pub mod spec;
pub mod status;
pub mod step;
mod stored;
pub mod violation;
