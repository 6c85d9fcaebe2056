//! What a valid name, address, topology and plan is. Pure: no tokio, no protobuf, no syscalls.

pub mod adopt;
pub mod announcement;
pub mod assign;
pub mod bpf;
pub mod bridge;
pub mod check;
pub mod desired;
pub mod device;
pub mod edit;
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
pub mod queue;
pub mod spec;
pub mod status;
pub mod step;
mod stored;
pub mod uplink;
pub mod violation;
pub mod vlans;
