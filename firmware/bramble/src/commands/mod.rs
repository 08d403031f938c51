//! One file per subcommand.

mod appliance;
mod asking;
mod doctor;
mod owner;
mod pipeline;
mod self_test;
mod serve;
mod setup;
mod token;
mod update;

pub(crate) use appliance::{ApplianceArguments, appliance, ask_running, running_config};
pub(crate) use doctor::{DoctorArguments, doctor};
pub(crate) use owner::{OwnerArguments, owner};
pub(crate) use pipeline::{PipelineArguments, pipeline};
pub(crate) use serve::{serve, wait_for_signal};
pub(crate) use setup::{SetupArguments, TeardownArguments, setup, teardown};
pub(crate) use token::{TokenArguments, token};
pub(crate) use update::{UpdateArguments, update};

use crate::ConfigArguments;
use crate::checking::check;
use crate::config::Config;
use std::io::Write;

/// Prints to standard output; a closed pipe is not an error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// `bramble check-config`.
pub(crate) fn check_config(arguments: &ConfigArguments) -> anyhow::Result<()> {
    let loaded = arguments.load()?;
    match &loaded.file {
        Some(file) => say(&format!("{}: OK", file.display())),
        None => say("no configuration file; defaults: OK"),
    }
    for variable in &loaded.variables {
        say(&format!("{variable}: OK"));
    }
    for note in check(&loaded)? {
        say(&format!("note: {note}"));
    }
    Ok(())
}

/// `bramble print-config`.
pub(crate) fn print_config(arguments: &ConfigArguments) -> anyhow::Result<()> {
    say(&config_text(&arguments.load()?.config));
    Ok(())
}

/// All settings as a TOML file with explanations.
pub(crate) fn config_text(config: &Config) -> String {
    let mut text =
        String::from("# Bramble's settings. Each may also be given as BRAMBLE_<SECTION>_<KEY> in the environment.\n");
    let mut section = String::new();
    for entry in config.entries() {
        let (of, key) = entry.name.split_once('.').unwrap_or(("", &entry.name));
        if of != section {
            section = of.to_owned();
            let doc = Config::sections().into_iter().find(|(s, _)| *s == of).map_or("", |(_, d)| d);
            text.push_str(&format!("\n# {doc}\n[{of}]\n"));
        }
        text.push_str(&format!(
            "# {} ({}; default {})\n{key} = {}\n",
            entry.doc, entry.kind, entry.default, entry.value
        ));
    }
    text
}

/// `bramble version`.
pub(crate) fn version() -> anyhow::Result<()> {
    say(&format!("bramble {} ({})", env!("CARGO_PKG_VERSION"), revision()));
    Ok(())
}

/// Commit of the build, where the build knew it.
pub(crate) fn revision() -> &'static str {
    option_env!("BRAMBLE_REVISION").unwrap_or("unknown")
}
