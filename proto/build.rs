//! Compiles the contracts with protox, so that no protoc is needed, and keeps the
//! descriptors for reflection. A method of the engine that does not say who may call it fails
//! the build.

use std::{env, error::Error, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, MethodDescriptor};

const FILES: [&str; 5] = [
    "saga/v1/access.proto",
    "saga/v1/saga.proto",
    "saga/v1/definition.proto",
    "saga/v1/operator.proto",
    "saga/participant/v1/participant.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    // Encoded by the compiler: prost's own types would lose the options of ours.
    let encoded = compiler.encode_file_descriptor_set();
    every_method_says_who_may_call_it(&DescriptorPool::decode(&encoded[..])?)?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptors.binpb"), encoded)?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Participants trust an engine by its identity: their methods have no roles.
fn every_method_says_who_may_call_it(pool: &DescriptorPool) -> Result<(), String> {
    let access = pool.get_extension_by_name("saga.v1.access").ok_or("saga.v1.access is gone")?;
    let has_role = |method: &MethodDescriptor| {
        let options = method.options();
        let said = options.get_extension(&access);
        let role = said.as_message().and_then(|it| it.get_field_by_name("role")?.as_enum_number());
        options.has_extension(&access) && role.is_some_and(|it| 0 < it)
    };
    let engine = pool.services().filter(|it| it.package_name() == "saga.v1");
    let mute: Vec<String> = engine
        .flat_map(|it| it.methods().collect::<Vec<_>>())
        .filter(|it| !has_role(it))
        .map(|it| it.full_name().to_owned())
        .collect();
    if mute.is_empty() {
        return Ok(());
    }
    let remedy = "say who may call it: `option (access) = { role: ROLE_.. }`, saga/v1/access.proto";
    Err(format!("{}: {remedy}", mute.join(", ")))
}
