//! What there may be several of: tables of the file that are written in double brackets.

use bramble_collect::pipeline::PipelineConfig;
use bramble_collect::sources::files::FilesConfig;
use bramble_forward::DestinationConfig;
use serde::Deserialize;

/// Names of the lists.
pub(crate) const NAMES: [&str; 3] = ["files", "pipeline", "forward"];

/// All lists, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Lists {
    /// `[[files]]`: files that are tailed.
    pub files: Vec<FilesConfig>,
    /// `[[pipeline]]`: what is done to items on their way in.
    pub pipeline: Vec<PipelineConfig>,
    /// `[[forward]]`: where items are sent on to.
    pub forward: Vec<DestinationConfig>,
}

impl Lists {
    /// Reads the lists of a file that is known to be TOML; other tables are left to others.
    ///
    /// # Errors
    /// Where (bytes from the beginning) and what.
    pub(crate) fn read(text: &str) -> Result<Self, (usize, String)> {
        toml_edit::de::from_str(text)
            .map_err(|e| (e.span().map_or(0, |span| span.start), e.message().trim().to_owned()))
    }
}
