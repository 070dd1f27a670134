//! Compiles the shop's contracts with protox, so that no protoc is needed, and keeps the
//! descriptors for reflection: what each of its services serves, the contract of participants
//! with it.

use std::{env, error::Error, fs, path::PathBuf};

const SHOP: [&str; 3] = [
    "shop/inventory/v1/inventory.proto",
    "shop/order/v1/order.proto",
    "shop/payment/v1/payment.proto",
];
const PARTICIPANT: &str = "saga/participant/v1/participant.proto";

fn main() -> Result<(), Box<dyn Error>> {
    for file in SHOP.into_iter().chain([PARTICIPANT]) {
        println!("cargo::rerun-if-changed=../{file}");
    }
    let mut compiler = protox::Compiler::new([".."])?;
    compiler.include_source_info(true).include_imports(true).open_files(SHOP)?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    compiler.open_file(PARTICIPANT)?;
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.binpb");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    Ok(())
}
