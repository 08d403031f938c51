//! What a configuration declares, compiled without being run: for `check-config`, `doctor` and before it is read again.

use crate::board;
use crate::collecting::file_targets;
use crate::config::Loaded;
use crate::forwarding;
use crate::lines::{self, LinePipelines};
use crate::scraping;
use anyhow::Context;
use bramble_collect::pipeline::logs::Redaction;
use bramble_collect::promtail;
use prometheus::Registry;
use std::sync::Arc;

/// Compiles everything that is declared: pipelines, files, destinations, `prometheus.yml`, `promtail.yaml`. Returns what
/// those two files ask and is not done here.
///
/// # Errors
/// The first thing that is wrong, and where.
pub(crate) fn check(loaded: &Loaded) -> anyhow::Result<Vec<String>> {
    let mut notes = check_without_scraping(loaded)?;
    notes.extend(scraping::check_file(&loaded.config).map_err(anyhow::Error::msg)?);
    Ok(notes)
}

/// As [`check`], but for `prometheus.yml`.
///
/// # Errors
/// The first thing that is wrong, and where.
pub(crate) fn check_without_scraping(loaded: &Loaded) -> anyhow::Result<Vec<String>> {
    // Counters of what is only looked at.
    let registry = Registry::new();
    let redaction = Arc::new(Redaction::new(&registry)?);
    let redactor = lines::redactor(loaded, &redaction)?;
    let line_pipelines = LinePipelines::new(loaded, &redaction)?;
    line_pipelines.register(&registry)?;
    for (index, target) in file_targets(loaded, &line_pipelines)?.iter().enumerate() {
        target.config.validate().with_context(|| format!("files[{index}]"))?;
    }
    lines::pipeline_options(loaded, redactor.clone()).check()?;
    forwarding::destinations(loaded)?;
    board::check(&loaded.config.board).map_err(anyhow::Error::msg)?;
    let mut notes = Vec::new();
    let promtail = &loaded.config.promtail;
    if let Some(path) = &promtail.config.0 {
        let plan = promtail::Plan::load(path.as_ref(), promtail.expand_env, redactor)?;
        notes.extend(plan.warnings.iter().map(|warning| format!("{path}:{}: {}", warning.line, warning.what)));
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::Path;

    /// Every `toml` block of a document.
    fn blocks(document: &str) -> Vec<String> {
        let (mut found, mut block) = (Vec::new(), None::<String>);
        for line in document.lines() {
            match (&mut block, line.trim_start().starts_with("```")) {
                (None, _) if line.trim() == "```toml" => block = Some(String::new()),
                (Some(_), true) => found.extend(block.take()),
                (Some(text), false) => text.extend([line, "\n"]),
                _ => {}
            }
        }
        found
    }

    fn loaded(text: &str) -> anyhow::Result<Loaded> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("bramble.toml");
        std::fs::write(&file, text)?;
        Ok(config::load(Some(&file), [])?)
    }

    #[test]
    fn what_the_documents_show_can_be_used() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let mut checked = 0;
        for entry in std::fs::read_dir(docs).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            for block in blocks(&std::fs::read_to_string(&path).unwrap()) {
                // Files of other programs are not on this machine; a pipeline may be declared elsewhere.
                let mut loaded = loaded(&block).unwrap_or_else(|e| panic!("{}: {e}\n{block}", path.display()));
                (loaded.config.scrape.config.0, loaded.config.promtail.config.0) = (None, None);
                loaded.lists.files.iter_mut().for_each(|files| {
                    files.pipeline = files.pipeline.take().filter(|name| !name.contains(' '));
                });
                check(&loaded).unwrap_or_else(|e| panic!("{}: {e:#}\n{block}", path.display()));
                checked += 1;
            }
        }
        assert!(checked >= 10, "only {checked} blocks found");
    }

    #[test]
    fn what_cannot_be_used_is_told_before_anything_runs() {
        for (text, told) in [
            ("[[files]]\ninclude = []\n", "include is empty"),
            ("[[files]]\ninclude = [\"/x\"]\npipeline = \"none\"\n", "no [[pipeline]] named \"none\""),
            ("[collect]\npresets = [\"mars\"]\n", "none of mdso"),
            (
                "[[pipeline]]\nname = \"x\"\nsignals = [\"logs\"]\nsteps = [{ stages = [{ regex = { expression = \"(\" } }] }]\n",
                "regex",
            ),
            ("[scrape]\nconfig = \"/nowhere/prometheus.yml\"\n", "/nowhere/prometheus.yml"),
        ] {
            let error = loaded(text).and_then(|loaded| check(&loaded)).map(|_| String::new());
            let error = format!("{:#}", error.expect_err(text));
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
