//! The contracts of the shop (`shop.*.v1`), and the code that is generated from them. The
//! `.proto` files beside this crate are the source; nothing here is written by hand but this
//! page.

#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]

/// The shop's contracts and that of participants as an encoded
/// `google.protobuf.FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// Stock.
pub mod inventory {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("shop.inventory.v1");
    }
}

/// Orders.
pub mod order {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("shop.order.v1");
    }
}

/// Payments.
pub mod payment {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("shop.payment.v1");
    }
}
