//! What `build.rs` made of `schema/`.

#[expect(unreachable_pub, reason = "generated code is public throughout")]
pub(crate) mod object {
    include!(concat!(env!("OUT_DIR"), "/spillway.v1.rs"));
}

#[expect(unreachable_pub, reason = "generated code is public throughout")]
pub(crate) mod rpc {
    include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
}
