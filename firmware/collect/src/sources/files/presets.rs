//! What is tailed in the usual places, by name.

use super::config::{FileFormat, FilesConfig};
use std::collections::BTreeMap;

/// All names that [`preset`] knows.
pub const PRESETS: [&str; 4] = ["mdso", "k3s", "docker", "host"];

/// The files of a preset; `None` for a name that is none.
///
/// * `mdso`: `/var/log/ciena/blueplanet.log` and `/bp2/log/*.log`, service `blueplanet`;
/// * `k3s`: logs of all pods, with namespace, pod and container; k3s' own log where it writes one;
/// * `docker`: logs of all containers of the `json-file` driver, with the container's name and its Compose service;
/// * `host`: the system's logs in `/var/log`.
pub fn preset(name: &str) -> Option<Vec<FilesConfig>> {
    let files = |include: &[&str]| FilesConfig {
        include: include.iter().map(|&path| path.to_owned()).collect(),
        ..FilesConfig::default()
    };
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Some(match name {
        "mdso" => vec![FilesConfig {
            labels: labels(&[("service", "blueplanet"), ("job", "mdso")]),
            ..files(&["/var/log/ciena/blueplanet.log", "/bp2/log/*.log"])
        }],
        "k3s" => vec![
            FilesConfig {
                labels: labels(&[("job", "k3s-pods")]),
                // Rotated logs of a container (`0.log.20261121-101500.gz`) are found beside the one that is read.
                ..files(&["/var/log/pods/*/*/*.log"])
            },
            FilesConfig {
                labels: labels(&[("service", "k3s"), ("job", "k3s")]),
                format: FileFormat::Plain,
                ..files(&["/var/log/k3s*.log", "/var/lib/rancher/k3s/agent/containerd/containerd.log"])
            },
        ],
        "docker" => vec![FilesConfig {
            labels: labels(&[("job", "docker")]),
            format: FileFormat::Docker,
            ..files(&["/var/lib/docker/containers/*/*-json.log"])
        }],
        "host" => vec![FilesConfig {
            labels: labels(&[("job", "host")]),
            format: FileFormat::Plain,
            // Pods and containers have presets of their own; the journal is no text; Bramble would read what it writes.
            exclude: ["/var/log/pods/**", "/var/log/containers/**", "/var/log/journal/**", "/var/log/bramble/**"]
                .map(str::to_owned)
                .to_vec(),
            ..files(&[
                "/var/log/{syslog,messages,auth.log,kern.log,daemon.log,user.log,mail.log,cron.log}",
                "/var/log/*.log",
                "/var/log/*/*.log",
            ])
        }],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_presets_are_sound() {
        for name in PRESETS {
            for config in preset(name).unwrap() {
                assert_eq!(config.validate(), Ok(()), "{name}");
            }
        }
        assert_eq!(preset("windows"), None);
    }
}
