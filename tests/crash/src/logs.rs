//! What the parts have logged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

/// How many kinds of warnings are told.
const KINDS: usize = 20;

/// What can be read out of the logs of origin and consumers.
#[derive(Debug, Default)]
pub struct Logs {
    /// Batches that were stored.
    pub stored: u64,
    /// Those of them that had been tried before.
    pub retried: u64,
    /// The most tries of one.
    pub most_tries: u64,
    /// Tokens without their rows, for which another one was taken.
    pub healed: u64,
    /// Batches that were another consumer's when they were done.
    pub lease_lost: u64,
    /// Objects that nobody had told of.
    pub swept: u64,
    /// Panics, of whatever part.
    pub panics: u64,
    /// Warnings and errors, the most frequent ones first.
    pub complaints: Vec<(u64, String)>,
}

impl Logs {
    /// Reads all logs of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let (mut logs, mut complaints) = (Self::default(), BTreeMap::new());
        for entry in fs::read_dir(folder)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".log") || !(name.starts_with("consumer") || name.starts_with("origin")) {
                continue;
            }
            for line in String::from_utf8_lossy(&fs::read(entry.path())?).lines() {
                logs.line(line, &mut complaints);
            }
        }
        logs.complaints = complaints.into_iter().map(|(complaint, times)| (times, complaint)).collect();
        logs.complaints.sort_by(|one, other| other.cmp(one));
        logs.complaints.truncate(KINDS);
        Ok(logs)
    }

    fn line(&mut self, line: &str, complaints: &mut BTreeMap<String, u64>) {
        self.panics += u64::from(line.contains("panicked at"));
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        let fields = &line["fields"];
        let number = |field: &str| fields[field].as_u64().unwrap_or(0);
        let message = fields["message"].as_str().unwrap_or_default();
        match message {
            "stored" => {
                self.stored += 1;
                self.retried += u64::from(number("tries") > 1);
                self.most_tries = self.most_tries.max(number("tries"));
            }
            "a token without its rows; healing" => self.healed += 1,
            "another consumer has the batch by now" => self.lease_lost += 1,
            "objects had been stored without a notification"
            | "a pass found objects that nobody had told of" => {
                self.swept += number("found");
            }
            _ => {}
        }
        let level = line["level"].as_str().unwrap_or_default();
        if matches!(level, "WARN" | "ERROR") {
            let why = ["error", "reason"].iter().find_map(|field| fields[*field].as_str());
            let complaint = format!("{level} {message}: {}", without_numbers(why.unwrap_or_default()));
            *complaints.entry(complaint).or_default() += 1;
        }
    }
}

/// The same complaint of two batches is the same.
fn without_numbers(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| if word.bytes().any(|byte| byte.is_ascii_digit()) { "…" } else { word });
    words.take(16).collect::<Vec<_>>().join(" ")
}
