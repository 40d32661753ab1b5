//! What `build.rs` made of `schema/`.

pub(crate) mod object {
    include!(concat!(env!("OUT_DIR"), "/spillway.v1.rs"));
}

pub(crate) mod rpc {
    include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
}
