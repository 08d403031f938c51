//! Files against what they mean and against what is said of those that are wrong.

use super::*;

fn parse(text: &str) -> Result<PrometheusConfig, String> {
    PrometheusConfig::parse(text, Path::new("prometheus.yml")).map_err(|error| error.to_string())
}

/// What Debian ships, without its comments.
const STOCK: &str = "\
global:
  scrape_interval:     15s
  evaluation_interval: 15s
  external_labels:
      monitor: 'example'

alerting:
  alertmanagers:
  - static_configs:
    - targets: ['localhost:9093']

rule_files:
  # - \"first_rules.yml\"

scrape_configs:
  - job_name: 'prometheus'
    scrape_interval: 5s
    scrape_timeout: 5s
    static_configs:
      - targets: ['localhost:9090']
  - job_name: node
    static_configs:
      - targets: ['localhost:9100']
";

#[test]
fn the_stock_file_is_read() {
    let config = parse(STOCK).unwrap();
    let jobs: Vec<_> = config.jobs.iter().map(|j| (j.job_name.as_str(), j.interval.ms(), j.timeout.ms())).collect();
    assert_eq!(jobs, [("prometheus", 5_000, 5_000), ("node", 15_000, 10_000)]);
    assert_eq!(config.external_labels.get("monitor").map(String::as_str), Some("example"));
    assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
    assert!(config.jobs[0].http.follow_redirects && config.jobs[0].honor_timestamps && config.jobs[0].compression);
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, expected) in [
        (
            "scrape_configs:\n- job_name: a\n- job_name: a\n",
            "prometheus.yml:3: found multiple scrape configs with job name \"a\"",
        ),
        ("scrape_configs:\n- metrics_path: /x\n", "prometheus.yml:2: job_name is empty"),
        ("scrape_configs:\n-\n", "prometheus.yml:2: empty or null scrape config section"),
        ("global:\n  scrape_interval: 10\n", "prometheus.yml:2: not a valid duration string: \"10\""),
        (
            "global: {scrape_interval: 5s, scrape_timeout: 6s}\n",
            "prometheus.yml:1: global scrape timeout greater than scrape interval",
        ),
        (
            "scrape_configs:\n\n- job_name: a\n  scrape_interval: 5s\n  scrape_timeout: 6s\n",
            "prometheus.yml:3: scrape timeout greater than scrape interval for scrape config with job name \"a\"",
        ),
        ("global:\n  scrape_intervall: 1s\n", "prometheus.yml:2: unknown field `scrape_intervall`"),
    ] {
        assert_eq!(parse(text).unwrap_err(), expected, "{text}");
    }
    for (text, line, part) in [
        (
            "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - action: nothing\n",
            4,
            "unknown relabel action \"nothing\"",
        ),
        ("scrape_configs:\n- job_name: a\n  scrape_protocols: [Text]\n", 3, "unknown scrape protocol Text"),
        ("scrape_configs:\n  - job_name: a\n static_configs: x\n", 3, ""),
        ("scrape_configs: [", 1, ""),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with(&format!("prometheus.yml:{line}: ")) && error.contains(part), "{error}");
    }
    let unknown = parse("scrape_configs:\n- job_name: a\n  no_such_field: 1\n").unwrap_err();
    assert!(unknown.contains("no_such_field"), "{unknown}");
}

#[test]
fn what_is_not_served_is_named() {
    let text =
        "scrape_configs:\n- job_name: a\n  consul_sd_configs: [{server: 'x:1'}]\nremote_write: [{url: 'http://x'}]\n";
    let notes = parse(text).unwrap().notes.join("\n");
    assert!(notes.contains("consul_sd_configs are not supported") && notes.contains("remote_write"), "{notes}");
}

#[test]
fn secrets_are_not_shown() {
    let text = "scrape_configs:\n- job_name: a\n  basic_auth: {username: u, password: hunter2}\n  \
                params: {x: ['1']}\n  static_configs: [{targets: ['h:1'], labels: {a: 'true'}}]\n";
    let config = parse(text).unwrap();
    assert!(!config.shown.contains("hunter2") && config.shown.contains("password: \"<secret>\""), "{}", config.shown);
    let again = parse(&config.shown).unwrap();
    assert_eq!(again.jobs[0].params, config.jobs[0].params, "{}", config.shown);
    assert_eq!(again.jobs[0].discovery, config.jobs[0].discovery, "{}", config.shown);
}

#[test]
fn variables_of_the_environment_are_filled_in() {
    let value_of = |name: &str| format!("<{name}>");
    assert_eq!(expand("a$X-${Y}b$$c$", value_of), "a<X>-<Y>b$c$");
}

#[test]
fn nothing_is_a_configuration() {
    assert!(parse("").unwrap().jobs.is_empty() && parse("# only this\n").unwrap().jobs.is_empty());
    assert!(parse("global:\nscrape_configs:\n").unwrap().jobs.is_empty());
}
