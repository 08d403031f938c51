//! `bramble update`: bundles of the appliance, made and installed. docs/updates.md.

use super::say;
use crate::appliance_source::{Source, open};
use anyhow::Context;
use bramble_appliance::bundle::{Architecture, Contents, DataFormat, Keys, PayloadReader, Signer, generate_key};
use bramble_appliance::bundle::{read_head, write_bundle};
use bramble_appliance::durable;
use bramble_appliance::helper::{self, Request};
use bramble_appliance::install::{Phase, Progress};
use bramble_appliance::layout::Layout;
use bramble_disk::{DATA_READS_FROM, DATA_VERSION};
use clap::{Args, Subcommand};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Arguments of `bramble update`.
#[derive(Args, Clone)]
pub(crate) struct UpdateArguments {
    /// All paths of the appliance are below this directory; for tests.
    #[arg(long = "below", value_name = "DIR", default_value = "/", global = true, hide = true)]
    below: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone)]
enum What {
    /// Install a bundle into the slot that does not run; the next restart tries it.
    Install {
        /// A file, an http(s) URL, or - for standard input.
        bundle: String,
        /// Restart into it at once.
        #[arg(long)]
        restart: bool,
    },
    /// Say which slot runs, what each holds, and where an update is.
    Status,
    /// Look whether a bundle is whole and signed by a key that is known here, and say what it holds.
    Verify {
        /// A file, an http(s) URL, or - for standard input.
        bundle: String,
        /// Directory of public keys.
        #[arg(long, value_name = "DIR", default_value = "/usr/share/bramble/update-keys")]
        keys: PathBuf,
    },
    /// Make a pair of keys, to sign bundles.
    Keygen {
        /// Where the private key goes; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        private: PathBuf,
        /// Where the public key goes.
        #[arg(long, value_name = "FILE")]
        public: PathBuf,
    },
    /// Make a bundle.
    Bundle(BundleArguments),
}

#[derive(Args, Clone)]
struct BundleArguments {
    /// The root file system, as it is written to the slot's partition.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// A tar of the files of the slot's directory on the boot partition.
    #[arg(long, value_name = "FILE")]
    boot_tar: PathBuf,
    /// The private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The bundle.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Version of the release.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    version: String,
    /// What tells this build from others of the version.
    #[arg(long)]
    build_id: String,
    /// When it was built, seconds since 1970.
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    built_unix_seconds: Option<u64>,
    /// What it runs on.
    #[arg(long, default_value = "aarch64")]
    architecture: String,
    /// A board it is for, for people; may be repeated.
    #[arg(long = "board", value_name = "NAME")]
    boards: Vec<String>,
    /// Oldest data format that it reads.
    #[arg(long, default_value_t = DATA_READS_FROM)]
    reads_from: u32,
    /// Data format that it writes.
    #[arg(long, default_value_t = DATA_VERSION)]
    writes: u32,
}

/// `bramble update …`.
pub(crate) fn update(arguments: &UpdateArguments) -> anyhow::Result<()> {
    let socket = Layout::below(&arguments.below).helper_socket();
    match &arguments.what {
        What::Install { bundle, restart } => install(&socket, bundle, *restart),
        What::Status => status(&socket),
        What::Verify { bundle, keys } => verify(bundle, keys),
        What::Keygen { private, public } => keygen(private, public),
        What::Bundle(arguments) => bundle(arguments),
    }
}

fn install(socket: &Path, bundle: &str, restart: bool) -> anyhow::Result<()> {
    let Source { mut reader, bytes } = open(bundle)?;
    let mut shown = (Phase::Idle, 0);
    let mut progress = |now: Progress| {
        let percent = (now.bytes_done.saturating_mul(100)).checked_div(now.bytes_total).unwrap_or(0);
        if (now.phase, percent) != shown {
            shown = (now.phase, percent);
            eprintln!("{}: {percent} %", phase_name(now.phase));
        }
    };
    let done = helper::send_update(socket, reader.as_mut(), bytes, &mut progress).map_err(anyhow::Error::msg)?;
    let text = |key: &str| done.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    say(&format!("{} ({}) is in slot {}", text("version"), text("build_id"), text("slot")));
    match restart {
        true => helper::ask(socket, &Request::Reboot).map(drop).map_err(anyhow::Error::msg),
        false => {
            say("it is tried with: bramble appliance reboot");
            Ok(())
        }
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Receiving => "receiving",
        Phase::Writing => "writing",
        Phase::Verifying => "verifying",
        Phase::Ready => "ready",
        Phase::Failed => "failed",
    }
}

fn status(socket: &Path) -> anyhow::Result<()> {
    let status = helper::status(socket).map_err(anyhow::Error::msg)?;
    for (name, release) in &status.slots {
        let named = |slot: Option<bramble_appliance::slot::Slot>| slot.is_some_and(|slot| slot.name() == name);
        let mut notes = Vec::new();
        notes.extend((status.slot.name() == name).then_some("runs"));
        notes.extend((status.committed.name() == name).then_some("committed"));
        notes.extend(named(status.trying).then_some("on trial"));
        notes.extend(named(status.bad).then_some("not usable"));
        let holds = release.as_ref().map_or("unknown".to_owned(), |r| format!("{} ({})", r.version, r.build_id));
        say(&format!("slot {name}: {holds}  {}", notes.join(", ")));
    }
    let update = &status.update;
    let told = if update.message.is_empty() { String::new() } else { format!(": {}", update.message) };
    say(&format!("update: {}{told}", phase_name(update.state)));
    Ok(())
}

fn verify(bundle: &str, keys: &Path) -> anyhow::Result<()> {
    let keys = Keys::of_directory(keys)?;
    let Source { mut reader, .. } = open(bundle)?;
    let mut from: &mut dyn Read = reader.as_mut();
    let head = read_head(from, &keys)?;
    for payload in &head.manifest.payloads {
        PayloadReader::new(&mut from, payload)?.finish()?;
    }
    anyhow::ensure!(from.read(&mut [0])? == 0, "there is something after the bundle's end");
    say(&serde_json::to_string_pretty(&head.manifest)?);
    Ok(())
}

fn keygen(private: &Path, public: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!private.exists(), "{} is there already, and a key is not to be overwritten", private.display());
    let pem = generate_key().map_err(anyhow::Error::msg)?;
    let signer = Signer::of_pem(&pem).map_err(anyhow::Error::msg)?;
    durable::write(private, pem.as_bytes(), 0o600)?;
    durable::write(public, (signer.public_text() + "\n").as_bytes(), 0o644)?;
    say(&format!("key {}; keep {} to yourself", signer.id(), private.display()));
    Ok(())
}

fn bundle(arguments: &BundleArguments) -> anyhow::Result<()> {
    let pem = fs::read_to_string(&arguments.key).with_context(|| arguments.key.display().to_string())?;
    let signer = Signer::of_pem(&pem).map_err(|why| anyhow::anyhow!("{}: {why}", arguments.key.display()))?;
    let opened = |path: &Path| File::open(path).map(BufReader::new).with_context(|| path.display().to_string());
    let (mut root, mut boot) = (opened(&arguments.root)?, opened(&arguments.boot_tar)?);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let contents = Contents {
        version: arguments.version.clone(),
        build_id: arguments.build_id.clone(),
        built_unix_seconds: arguments.built_unix_seconds.unwrap_or_else(now),
        architecture: Architecture(arguments.architecture.clone()),
        boards: arguments.boards.clone(),
        data_format: DataFormat { reads_from: arguments.reads_from, writes: arguments.writes },
    };
    let mut path = arguments.out.clone().into_os_string();
    path.push(".payloads");
    let path = PathBuf::from(path);
    let scratch = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
    let mut scratch = scratch.with_context(|| path.display().to_string())?;
    let written = (|| -> io::Result<_> {
        let mut out = BufWriter::new(File::create(&arguments.out)?);
        write_bundle(&contents, &signer, (&mut root, &mut boot), &mut scratch, &mut out)
    })();
    // Nothing needs it any more, however that went.
    _ = fs::remove_file(&path);
    let manifest = written?;
    let bytes = fs::metadata(&arguments.out)?.len();
    say(&format!(
        "{}: {} ({}), {bytes} bytes, key {}",
        arguments.out.display(),
        manifest.version,
        manifest.build_id,
        manifest.key_id
    ));
    Ok(())
}
