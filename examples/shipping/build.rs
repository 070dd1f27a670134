//! Compiles the contract, and keeps its descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

const CONTRACT: &str = "acme/shipping/v1/shipping.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_file(CONTRACT)?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.binpb");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    Ok(())
}
