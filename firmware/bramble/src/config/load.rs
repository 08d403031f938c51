//! Reading the file and the environment.

use super::lists;
use super::{Config, Lists, Raw};
use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with the configuration, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// File and line, or the variable.
    pub place: String,
    /// What.
    pub message: String,
    /// A way out, if there is an obvious one.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A configuration and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings.
    pub config: Config,
    /// What there may be several of.
    pub lists: Lists,
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// Variables of the environment that were used.
    pub variables: Vec<String>,
}

/// Where the file is looked for when none is named.
const USUAL_FILE: &str = "/etc/bramble/bramble.toml";

/// Prefix of variables.
const PREFIX: &str = "BRAMBLE_";

/// The window's length in seconds, as the engine before us was told it; our own variable wins.
const WINDOW_SECONDS: &str = "CORR_WINDOW_SECONDS";

/// Reads `file` (or the usual one, if it exists) and then `environment`, whose variables win.
///
/// # Errors
/// [`ConfigError`]: the first thing that is wrong.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let (mut config, mut lists) = (Config::default(), Lists::default());
    let usual = Path::new(USUAL_FILE);
    let file = file.map(Path::to_owned).or_else(|| usual.exists().then(|| usual.to_owned()));
    if let Some(path) = &file {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
            place: path.display().to_string(),
            message: format!("cannot be read: {e}"),
            hint: None,
        })?;
        lists = read_text(&text, &path.display().to_string(), &mut config)?;
    }
    let variables = read_environment(environment, &mut config)?;
    Ok(Loaded { config, lists, file, variables })
}

/// Whether `text` could be the file.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check_text(text: &str) -> Result<(), ConfigError> {
    read_text(text, "bramble.toml", &mut Config::default()).map(drop)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

fn read_text(text: &str, file: &str, config: &mut Config) -> Result<Lists, ConfigError> {
    let document = toml_edit::Document::parse(text).map_err(|e| {
        let line = e.span().map_or(1, |s| line_of(text, s.start));
        ConfigError { place: format!("{file}:{line}"), message: e.message().trim().to_owned(), hint: None }
    })?;
    let place = |span: Option<std::ops::Range<usize>>| format!("{file}:{}", span.map_or(1, |s| line_of(text, s.start)));
    for (section, item) in document.as_table().iter() {
        let section_span = document.as_table().key(section).and_then(|k| k.span());
        if lists::NAMES.contains(&section) {
            continue;
        }
        if section == "role" && item.is_value() {
            let outcome = config.set("cluster", "role", &raw_of(item)).unwrap_or(Ok(()));
            outcome.map_err(|message| ConfigError {
                place: place(section_span),
                message: format!("role: {message}"),
                hint: None,
            })?;
            continue;
        }
        let Some(table) = item.as_table_like() else {
            return Err(unknown(place(section_span), section));
        };
        if !Config::sections().iter().any(|(name, _)| *name == section) {
            return Err(unknown(place(section_span.or(item.span())), section));
        }
        for (key, value) in table.iter() {
            let at = place(table.key(key).and_then(|k| k.span()).or(value.span()));
            let name = format!("{section}.{key}");
            match config.set(section, key, &raw_of(value)) {
                None => return Err(unknown(at, &name)),
                Some(Err(message)) => {
                    return Err(ConfigError { place: at, message: format!("{name}: {message}"), hint: None });
                }
                Some(Ok(())) => {}
            }
        }
    }
    Lists::read(text).map_err(|(offset, message)| ConfigError {
        place: format!("{file}:{}", line_of(text, offset)),
        message,
        hint: None,
    })
}

fn raw_of(item: &toml_edit::Item) -> Raw {
    match item.as_value() {
        Some(toml_edit::Value::String(s)) => Raw::Text(s.value().clone()),
        Some(toml_edit::Value::Integer(n)) => Raw::Integer(*n.value()),
        Some(toml_edit::Value::Boolean(b)) => Raw::Bool(*b.value()),
        Some(toml_edit::Value::Array(items)) if items.iter().all(|item| item.is_str()) => {
            Raw::List(items.iter().filter_map(|item| item.as_str()).map(str::to_owned).collect())
        }
        Some(other) => Raw::Other(other.type_name()),
        None => Raw::Other(item.type_name()),
    }
}

fn read_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    config: &mut Config,
) -> Result<Vec<String>, ConfigError> {
    let mut used = Vec::new();
    let (foreign, own): (Vec<_>, Vec<_>) = environment.into_iter().partition(|(name, _)| name == WINDOW_SECONDS);
    for (variable, value) in foreign {
        let seconds = Raw::Text(format!("{}s", value.trim()));
        if let Some(Err(message)) = config.set("correlation", "window", &seconds) {
            return Err(ConfigError { place: variable, message, hint: None });
        }
        used.push(variable);
    }
    for (variable, value) in own {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let lower = rest.to_lowercase();
        let section = Config::sections().into_iter().map(|(s, _)| s).find(|s| lower.starts_with(&format!("{s}_")));
        let outcome = section.and_then(|s| config.set(s, &lower[s.len() + 1..], &Raw::Text(value)));
        match outcome {
            None => {
                let name = lower.replacen('_', ".", 1);
                let mut error = unknown(variable, &name);
                error.hint = error.hint.map(|h| format!("{h} (as a variable: {PREFIX}SECTION_KEY)"));
                return Err(error);
            }
            Some(Err(message)) => return Err(ConfigError { place: variable, message, hint: None }),
            Some(Ok(())) => used.push(variable),
        }
    }
    Ok(used)
}

/// The error for a key that does not exist, with the nearest that does.
fn unknown(place: String, name: &str) -> ConfigError {
    let entries = Config::default().entries();
    let sections = Config::sections();
    let known = entries.iter().map(|e| e.name.as_str()).chain(sections.iter().map(|(s, _)| *s));
    // A key of the right name in the wrong section is nearer than its spelling says.
    let last = name.rsplit('.').next().unwrap_or(name);
    let distance = |k: &str| {
        let misplaced = k.rsplit('.').next() == Some(last);
        if misplaced { 0 } else { strsim::damerau_levenshtein(k, name) }
    };
    let nearest = known.min_by_key(|k| distance(k)).filter(|k| distance(k) <= name.len() / 2 + 1);
    ConfigError { place, message: format!("unknown key {name}"), hint: nearest.map(|k| format!("did you mean {k}?")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Door, Interval, Optional, Role, Size};

    fn read(text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        read_text(text, "bramble.toml", &mut config).map(|_| config)
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let config = read("[memory]\ncap = \"96MiB\"\n[doors]\nloki = \"off\"\n").unwrap();
        assert_eq!(config.memory.cap, Optional(Some(Size::mib(96))));
        assert_eq!((config.doors.loki, config.doors.prometheus), (Door::Off, Door::port(9090)));
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_neighbour() {
        let error = read("[memory]\n\n# a comment\ncapp = 5\n").unwrap_err();
        assert_eq!(error.to_string(), "bramble.toml:4: unknown key memory.capp\nhint: did you mean memory.cap?");
        let error = read("[memroy]\ncap = 5\n").unwrap_err();
        assert_eq!((error.place.as_str(), error.hint.as_deref()), ("bramble.toml:1", Some("did you mean memory?")));
        let error = read("[query]\ndata_dir = \"/x\"\n").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean storage.data_dir?"));
    }

    #[test]
    fn the_role_may_stand_at_the_top() {
        assert_eq!(read("role = \"node\"\n[memory]\ncap = \"96MiB\"\n").unwrap().cluster.role, Role::Node);
        assert_eq!(read("[cluster]\nrole = \"node\"\n").unwrap().cluster.role, Role::Node);
        let error = read("\nrole = \"boss\"\n").unwrap_err();
        assert_eq!(error.place, "bramble.toml:2");
    }

    #[test]
    fn lists_are_read_with_their_lines() {
        let lists = |text: &str| read_text(text, "bramble.toml", &mut Config::default());
        let read = lists("[[files]]\ninclude = [\"/var/log/*.log\"]\n[[files]]\ninclude = [\"/x\"]\n").unwrap();
        assert_eq!((read.files.len(), read.files[1].include.as_slice()), (2, &["/x".to_owned()][..]));
        let error = lists("[memory]\n[[files]]\ninclude = [\"/x\"]\nincluded = 5\n").unwrap_err();
        assert_eq!(error.place, "bramble.toml:4", "{error}");
        assert!(error.message.contains("included"), "{error}");
    }

    #[test]
    fn bad_values_and_bad_toml_name_their_line() {
        let error = read("[doors]\nmain = 3000\nloki = \"x:y\"\n").unwrap_err();
        assert_eq!(error.place, "bramble.toml:3");
        assert!(error.message.starts_with("doors.loki: \"x:y\" is not a port"), "{}", error.message);
        assert_eq!(read("[doors\n").unwrap_err().place, "bramble.toml:1");
    }

    #[test]
    fn the_environment_wins_and_is_checked() {
        let mut config = read("[memory]\ncap = \"96MiB\"\n").unwrap();
        let variables = |v: &[(&str, &str)]| v.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
        let used = read_environment(variables(&[("HOME", "/"), ("BRAMBLE_MEMORY_CAP", "64MiB")]), &mut config).unwrap();
        assert_eq!(
            (used, config.memory.cap.clone()),
            (vec!["BRAMBLE_MEMORY_CAP".to_owned()], Optional(Some(Size::mib(64))))
        );
        let windows = [("BRAMBLE_CORRELATION_WINDOW", "20s"), ("CORR_WINDOW_SECONDS", "5")];
        read_environment(variables(&windows[1..]), &mut config).unwrap();
        assert_eq!(config.correlation.window, Interval::seconds(5));
        read_environment(variables(&windows), &mut config).unwrap();
        assert_eq!(config.correlation.window, Interval::seconds(20));
        let error = read_environment(variables(&[("CORR_WINDOW_SECONDS", "soon")]), &mut config).unwrap_err();
        assert_eq!(error.place, "CORR_WINDOW_SECONDS");
        let error = read_environment(variables(&[("BRAMBLE_MEMORY_CAPP", "1")]), &mut config).unwrap_err();
        assert!(error.hint.is_some_and(|h| h.contains("memory.cap")));
    }

    #[test]
    fn what_is_printed_reads_back() {
        let mut config = Config::default();
        config.memory.cap = Optional(Some(Size::mib(33)));
        let text: String = config
            .entries()
            .iter()
            .map(|e| {
                let (section, key) = e.name.split_once('.').unwrap();
                format!("{section}.{key} = {}\n", e.value)
            })
            .collect();
        assert_eq!(read(&text).unwrap(), config);
    }
}
