//! Every known input, through its check; and every beginning of the short ones, since parsers fail where things end early.

use std::fs;
use std::path::Path;

use spillway_fuzz::TARGETS;

/// The longest input that is also cut everywhere, in bytes.
const MAX_CUT_BYTES: usize = 1_000;

#[test]
fn what_must_hold_holds_of_the_whole_corpus() {
    for (target, check) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let mut inputs = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().path();
            let input = fs::read(&file).unwrap();
            eprintln!("{}", file.display());
            check(&input);
            if input.len() <= MAX_CUT_BYTES {
                (0..input.len()).for_each(|end| check(&input[..end]));
            }
            inputs += 1;
        }
        assert!(inputs > 0, "{target} has no seeds");
    }
}
