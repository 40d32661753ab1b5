//! Writes the seeds, `corpus/TARGET/NAME`: each a case that a parser treats in a way of its own. Other files that lie
//! there, such as inputs that a parser once failed on, are left alone.

mod compressed;
mod json;
mod texts;
mod wire;

use std::fs;
use std::io;
use std::path::Path;

/// Names, and what their files hold.
type Seeds = Vec<(&'static str, Vec<u8>)>;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let targets = [
        ("api_key", texts::api_keys()),
        ("decompress", compressed::seeds()?),
        ("headers", texts::headers()),
        ("json", json::seeds()),
        ("object_key", texts::object_keys()),
        ("record", texts::records()),
        ("wire", wire::seeds()),
    ];
    for (target, seeds) in targets {
        fs::create_dir_all(corpus.join(target))?;
        for (name, bytes) in seeds {
            fs::write(corpus.join(target).join(name), bytes)?;
        }
    }
    Ok(())
}
