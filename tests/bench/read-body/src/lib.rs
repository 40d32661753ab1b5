//! The floor for a Worker in Rust: reads the body into wasm's memory and answers.
#![cfg(target_arch = "wasm32")]

use worker::{Context, Env, Request, Response, event};

#[event(fetch)]
async fn fetch(mut request: Request, _env: Env, _ctx: Context) -> worker::Result<Response> {
    request.bytes().await?;
    Response::empty()
}
