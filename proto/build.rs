//! Compiles Spillway's own messages with a protobuf compiler in Rust, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["schema/spillway/v1/object.proto", "schema/google/rpc/status.proto"];
    let descriptors = protox::compile(files, ["schema"])?;
    prost_build::Config::new().bytes(["spillway.v1.ObjectRecord.payload"]).compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=schema");
    Ok(())
}
