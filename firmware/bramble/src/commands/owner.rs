//! `bramble owner`: who owns this machine, for somebody who is at it.

use super::asking::{Running, text};
use super::say;
use crate::ConfigArguments;
use crate::config::Config;
use crate::owning::CODE_FILE;
use crate::serving::data_dir;
use anyhow::Context;
use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::io::{BufRead, IsTerminal, Write};

/// Arguments of `bramble owner`.
#[derive(Args, Clone)]
pub(crate) struct OwnerArguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone)]
enum What {
    /// Print the set-up code with which an owner is set on the page.
    Code,
    /// Say whether there is an owner.
    Status,
    /// Forget the owner, all sessions and all tokens, and begin the set-up anew.
    Reset {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// `bramble owner …`.
pub(crate) fn owner(arguments: &OwnerArguments) -> anyhow::Result<()> {
    let config = arguments.config.load()?.config;
    match arguments.what {
        What::Code => code(&config),
        What::Status => status(&config),
        What::Reset { yes } => reset(&config, yes),
    }
}

/// From the file, so that it works while Bramble starts, too.
fn code(config: &Config) -> anyhow::Result<()> {
    let file = data_dir(config)?.join(CODE_FILE);
    match std::fs::read_to_string(&file) {
        Ok(code) => say(code.trim()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::bail!(
                "there is no set-up code: there is an owner, or Bramble was never started here\nhint: bramble owner status"
            )
        }
        Err(error) => {
            let hint = "run this as root, or as the user that Bramble runs as";
            return Err(error).with_context(|| format!("{} cannot be read; {hint}", file.display()));
        }
    }
    Ok(())
}

fn status(config: &Config) -> anyhow::Result<()> {
    let told = Running::of(config)?.ask(Method::GET, "/api/v1/owner", None)?;
    let is = |key: &str| told.get(key).and_then(Value::as_bool).unwrap_or(false);
    match (is("set"), is("required")) {
        (true, _) => {
            let name = match text(&told, "name") {
                "" => "(a name is shown to root)",
                name => name,
            };
            let ingest = match text(&told, "ingest") {
                "token" => "other machines need a token to send",
                _ => "machines of private networks send without a token",
            };
            say(&format!("owner: {name}\n{ingest}"));
        }
        (false, true) => {
            say("no owner yet: other machines get the set-up page only; its code is told by bramble owner code")
        }
        (false, false) => say("no owner, and none is required (security.require_owner)"),
    }
    Ok(())
}

fn reset(config: &Config, yes: bool) -> anyhow::Result<()> {
    let running = Running::of(config)?;
    anyhow::ensure!(yes || is_meant()?, "nothing was changed");
    running.ask(Method::DELETE, "/api/v1/owner", None)?;
    say("the owner, all sessions and all tokens are forgotten; the new set-up code:");
    code(config)
}

fn is_meant() -> anyhow::Result<bool> {
    let input = std::io::stdin();
    anyhow::ensure!(input.is_terminal(), "say --yes where nobody can be asked");
    let mut out = std::io::stderr();
    write!(out, "Forget the owner, all sessions and all tokens? Type yes: ")?;
    out.flush()?;
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}
