//! The contracts of the engine (`saga.v1`, `saga.participant.v1`), and the code that is
//! generated from them. The `.proto` files beside this crate are the source; nothing here is
//! written by hand but this page.

#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]

/// All contracts as an encoded `google.protobuf.FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The engine.
pub mod saga {
    /// For clients and operators.
    pub mod v1 {
        tonic::include_proto!("saga.v1");
    }
    /// For participants.
    pub mod participant {
        /// What every participant serves.
        pub mod v1 {
            tonic::include_proto!("saga.participant.v1");
        }
    }
}
