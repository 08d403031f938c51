//! The binary: command line, configuration, wiring. The only place that names everything.

mod appliance_console;
mod appliance_source;
mod appliance_system;
mod board;
mod checking;
mod clock_trust;
mod collecting;
mod commands;
mod config;
mod correlating;
mod deletions;
mod derived;
mod doors;
mod forwarding;
mod lines;
mod machine;
mod mdns;
mod node;
mod nodes;
mod operations;
mod owning;
mod peering;
mod problems;
mod process_metrics;
mod promtails;
mod receiving;
mod reload;
mod renewing;
mod routes;
mod sampling;
mod scraping;
mod serving;
mod span_doors;
mod watchdog;

use clap::{Parser, Subcommand};
use config::Loaded;
use std::path::PathBuf;
use std::process::ExitCode;

/// Counts what is allocated, so that `/metrics` shows live heap bytes beside resident memory. The allocator under it is
/// the C library's, with two arenas and early trimming (`machine::tune_allocator`): prototypes of this program's churn
/// peaked lowest with it (docs/architecture.md).
#[global_allocator]
static ALLOCATOR: bramble_runtime::allocator::Counting<std::alloc::System> =
    bramble_runtime::allocator::Counting(std::alloc::System);

/// Bramble: metrics, logs and traces of a small cluster, in the memory and on the flash card of one Raspberry Pi.
#[derive(Parser)]
#[command(name = "bramble", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Collect, store and serve.
    Serve(ConfigArguments),
    /// Read the configuration and say what is wrong with it.
    CheckConfig(ConfigArguments),
    /// Print the effective configuration with explanations.
    PrintConfig(ConfigArguments),
    /// Look at this machine, the data directory and the ports, and say what to do about what is wrong.
    Doctor(commands::DoctorArguments),
    /// Make, list or take back the one-time tokens that enrol nodes; asks the hub that runs on this machine.
    Token(commands::TokenArguments),
    /// Say who owns this machine, show the set-up code, or begin anew; asks the hub that runs on this machine.
    Owner(commands::OwnerArguments),
    /// Install a bundle into the appliance's other slot, or make one.
    Update(commands::UpdateArguments),
    /// What the flashed appliance's own units run.
    Appliance(commands::ApplianceArguments),
    /// Run lines through a log pipeline and show what each stage makes of them.
    Pipeline(commands::PipelineArguments),
    /// Make this machine run Bramble: user, directories, settings, units. Can be interrupted and repeated.
    Setup(commands::SetupArguments),
    /// Take back what `setup` did; the data stays unless it is purged.
    Teardown(commands::TeardownArguments),
    /// Print version and build.
    Version,
}

/// Where settings come from.
#[derive(clap::Args, Clone)]
pub(crate) struct ConfigArguments {
    /// Configuration file; every setting has a default.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Data directory; overrides the configuration.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl ConfigArguments {
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        let mut loaded = config::load(self.config.as_deref(), std::env::vars())?;
        if let Some(directory) = &self.data_dir {
            loaded.config.storage.data_dir = config::Optional(Some(directory.display().to_string()));
        }
        Ok(loaded)
    }
}

fn main() -> ExitCode {
    machine::tune_allocator();
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => commands::serve(&arguments),
        Command::CheckConfig(arguments) => commands::check_config(&arguments),
        Command::PrintConfig(arguments) => commands::print_config(&arguments),
        Command::Doctor(arguments) => commands::doctor(&arguments),
        Command::Token(arguments) => commands::token(&arguments),
        Command::Owner(arguments) => commands::owner(&arguments),
        Command::Update(arguments) => commands::update(&arguments),
        Command::Appliance(arguments) => commands::appliance(&arguments),
        Command::Pipeline(arguments) => commands::pipeline(&arguments),
        Command::Setup(arguments) => commands::setup(&arguments),
        Command::Teardown(arguments) => commands::teardown(&arguments),
        Command::Version => commands::version(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bramble: {error:#}");
            ExitCode::FAILURE
        }
    }
}
