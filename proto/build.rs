//! Compiles the contracts with protox, so that no protoc is needed, and keeps the
//! descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 7] = [
    "saga/v1/saga.proto",
    "saga/v1/definition.proto",
    "saga/v1/operator.proto",
    "saga/participant/v1/participant.proto",
    "shop/inventory/v1/inventory.proto",
    "shop/order/v1/order.proto",
    "shop/payment/v1/payment.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptors.binpb"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
