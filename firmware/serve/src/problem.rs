//! What does not work at present, told alike by the API, the page and `bramble doctor`.

use serde::{Deserialize, Serialize};

/// Something that does not work now. It goes away by itself when it works again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is concerned: `scraping`, `discovery`, `files`, `journal`, `promtail`, `kubernetes`, `forwarding`, `hub`, `nodes`,
    /// `door`.
    pub part: String,
    /// Which of them: a target's URL, a file's path, a name.
    pub what: String,
    /// Why, in the words of what failed.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

/// The problems there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// The first of them.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub omitted: usize,
}

impl Problems {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.problems.len() + self.omitted
    }
}
