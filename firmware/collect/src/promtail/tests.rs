//! The examples of Promtail's documentation, and what is wrong with files that are.
//!
//! Sources: grafana/loki, docs/sources/send-data/promtail/configuration.md ("Example Static Config", "… without targets",
//! "Example Journal Config", "Example Syslog Config", "Example Push Config", "docker_sd_configs"), scraping.md ("Kubernetes
//! Discovery"), and pipelines.md of the same folder.

use super::plan::{FileJob, Plan};
use super::targets::{TargetFiles, target_files};
use crate::discovery::TargetGroup;
use crate::pipeline::logs::{LogBuilder, LogPipeline, RawLine};
use bramble_signal::Labels;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HEAD: &str = r"
server:
  http_listen_port: 9080
  grpc_listen_port: 0

positions:
  filename: /nowhere/positions.yaml

clients:
  - url: http://localhost:3100/loki/api/v1/push
";

fn plan(text: &str) -> Plan {
    Plan::parse(text, Path::new("/etc/promtail"), None).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn jobs(text: &str) -> Plan {
    plan(&format!("{HEAD}{text}"))
}

fn warnings(plan: &Plan) -> Vec<String> {
    plan.warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.what)).collect()
}

fn files(job: &FileJob, groups: &[Arc<TargetGroup>]) -> Vec<TargetFiles> {
    target_files(job, groups, "pi-1").0
}

fn shown(files: &[TargetFiles]) -> Vec<String> {
    let labels = |files: &TargetFiles| Labels::from_pairs(files.labels.iter()).to_string();
    files.iter().map(|f| format!("{} -{} {}", f.include, f.exclude, labels(f))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn group(labels: &[(&str, &str)], targets: &[&[(&str, &str)]]) -> Arc<TargetGroup> {
    let targets = targets.iter().map(|target| pairs(target)).collect();
    Arc::new(TargetGroup { source: "test".to_owned(), labels: pairs(labels), targets })
}

/// What stages make of lines: labels, line and metadata.
fn through(pipeline: &LogPipeline, labels: &[(&str, &str)], lines: &[&str]) -> Vec<String> {
    let (mut pipeline, mut out) = (pipeline.fork(), LogBuilder::new());
    let labels = Labels::from_pairs(labels.iter().copied());
    for line in lines {
        _ = pipeline.push(RawLine::new(1_700_000_000_000_000_000, labels.as_ref(), line.as_bytes()), &mut out);
    }
    pipeline.flush(1_700_000_000_000_000_000, &mut out);
    let batch = out.finish();
    let line = |e: bramble_signal::LogEntry<'_>| format!("{} {}", String::from_utf8_lossy(e.line), e.metadata);
    let stream = |s: bramble_signal::LogStream<'_>| {
        let labels = s.labels().to_string();
        s.entries().map(|e| format!("{labels} {}", line(e))).collect::<Vec<_>>()
    };
    batch.streams().flat_map(stream).collect()
}

#[test]
fn listed_files_with_and_without_targets() {
    for targets in ["targets:\n      - localhost\n     labels:", "labels:"] {
        let text = format!(
            "scrape_configs:
 - job_name: system
   pipeline_stages:
   static_configs:
   - {targets}
      job: varlogs
      host: yourhost
      __path__: /var/log/*.log
      __path_exclude__: /var/log/secret.log
"
        );
        let plan = jobs(&text);
        assert_eq!(
            shown(&files(&plan.files[0], &[])),
            [r#"/var/log/*.log -/var/log/secret.log {host="yourhost", job="varlogs"}"#]
        );
        assert_eq!(
            warnings(&plan),
            ["10: http://localhost:3100/loki/api/v1/push is this machine: lines go into the store here"]
        );
        assert!(plan.remotes.is_empty() && plan.files[0].pipeline.is_empty());
    }
}

#[test]
fn the_journal_and_syslog() {
    let plan = jobs(
        "scrape_configs:
  - job_name: journal
    journal:
      max_age: 12h
      json: true
      path: /var/log/journal
      matches: _TRANSPORT=kernel PRIORITY=3
      labels:
        job: systemd-journal
    relabel_configs:
      - source_labels: ['__journal__systemd_unit']
        target_label: 'unit'
  - job_name: syslog
    syslog:
      listen_address: 0.0.0.0:1514
      idle_timeout: 60s
      label_structured_data: yes
      labels:
        job: \"syslog\"
    relabel_configs:
      - source_labels: ['__syslog_message_hostname']
        target_label: 'host'
",
    );
    let journal = &plan.journals[0];
    assert_eq!((journal.max_age, journal.json), (Duration::from_secs(12 * 3600), true));
    assert_eq!(journal.matches, ["_TRANSPORT=kernel", "PRIORITY=3"]);
    assert_eq!(journal.directory.as_deref(), Some(Path::new("/var/log/journal")));
    assert_eq!((journal.labels.clone(), journal.relabel.len()), (pairs(&[("job", "systemd-journal")]), 1));
    let syslog = &plan.syslogs[0];
    assert_eq!((syslog.listen_address.as_str(), syslog.udp, syslog.rfc3164), ("0.0.0.0:1514", false, false));
    assert_eq!((syslog.idle_timeout, syslog.message_bytes_max), (Duration::from_secs(60), 8192));
    assert!(syslog.label_structured_data && !syslog.use_incoming_timestamp);
}

#[test]
fn pods_are_found_by_their_rules() {
    // The rules of scraping.md, "Kubernetes Discovery", and of the Helm chart that it names.
    let plan = jobs(
        r"scrape_configs:
  - job_name: kubernetes-pods
    pipeline_stages:
      - cri: {}
    kubernetes_sd_configs:
      - role: pod
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name, __meta_kubernetes_pod_name]
        regex: ^;*([^;]+)(;.*)?$
        action: replace
        target_label: app
      - source_labels: ['__meta_kubernetes_pod_node_name']
        target_label: '__host__'
      - action: replace
        replacement: $1
        separator: /
        source_labels: [__meta_kubernetes_namespace, app]
        target_label: job
      - action: replace
        source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - action: replace
        source_labels: [__meta_kubernetes_pod_container_name]
        target_label: container
      - action: replace
        replacement: /var/log/pods/*$1/*.log
        separator: /
        source_labels: [__meta_kubernetes_pod_uid, __meta_kubernetes_pod_container_name]
        target_label: __path__
      - action: drop
        source_labels: [__meta_kubernetes_namespace]
        regex: kube-system
",
    );
    let pod = |namespace: &'static str, node: &'static str| {
        group(
            &[
                ("__meta_kubernetes_namespace", namespace),
                ("__meta_kubernetes_pod_name", "web-1"),
                ("__meta_kubernetes_pod_node_name", node),
                ("__meta_kubernetes_pod_uid", "u-1"),
            ],
            // Two ports: two targets, the same files.
            &[
                &[("__address__", "10.0.0.1:80"), ("__meta_kubernetes_pod_container_name", "nginx")],
                &[("__address__", "10.0.0.1:90"), ("__meta_kubernetes_pod_container_name", "nginx")],
            ],
        )
    };
    let groups = [pod("shop", "pi-1"), pod("shop", "pi-2"), pod("kube-system", "pi-1")];
    let job = &plan.files[0];
    assert_eq!(
        shown(&files(job, &groups)),
        [r#"/var/log/pods/*u-1/nginx/*.log - {app="web-1", container="nginx", job="shop/web-1", namespace="shop"}"#]
    );
    assert_eq!(target_files(job, &groups, "pi-1").1, 4);
    assert!(!job.discovery.is_empty());
    let lines = ["2024-05-01T00:00:00.123456789Z stdout P part ", "2024-05-01T00:00:00.123456790Z stdout F whole"];
    assert_eq!(through(&job.pipeline, &[("app", "x")], &lines), [r#"{app="x", stream="stdout"} part whole {}"#]);
}

#[test]
fn containers_are_read_from_dockers_files() {
    let plan = jobs(
        "scrape_configs:
  - job_name: flog_scrape
    docker_sd_configs:
      - host: unix:///var/run/docker.sock
        refresh_interval: 5s
        filters:
          - name: name
            values: [flog]
    relabel_configs:
      - source_labels: ['__meta_docker_container_name']
        regex: '/(.*)'
        target_label: 'container'
",
    );
    let id = "9c5bea1dcf6c";
    let target: &[(&str, &str)] = &[("__meta_docker_container_id", id), ("__meta_docker_container_name", "/flog")];
    let bad: &[(&str, &str)] = &[("__meta_docker_container_id", "../../etc"), ("__meta_docker_container_name", "/x")];
    let found = files(&plan.files[0], &[group(&[], &[target, bad])]);
    assert_eq!(shown(&found), [format!(r#"/var/lib/docker/containers/{id}/{id}-json.log - {{container="flog"}}"#)]);
    assert!(found[0].docker);
}

#[test]
fn stages_give_the_labels_that_the_documentation_says() {
    // pipelines.md: a JSON line inside another, its time, level and labels.
    let plan = jobs(
        r#"scrape_configs:
- job_name: kubernetes-pods-name
  pipeline_stages:
  - match:
      selector: '{name="promtail"}'
      stages:
      - regex:
          expression: '.*level=(?P<level>[a-zA-Z]+).*ts=(?P<timestamp>[T\d-:.Z]*).*component=(?P<component>[a-zA-Z]+)'
      - timestamp:
          format: RFC3339Nano
          source: timestamp
      - labels:
          level:
          component:
  - match:
      selector: '{name="nginx"}'
      stages:
      - regex:
          expression: \w{1,3}.\w{1,3}.\w{1,3}.\w{1,3}(?P<output>.*)
      - output:
          source: output
  - drop:
      older_than: 24h
      drop_counter_reason: line_too_old
      longer_than: 8kb
  static_configs:
  - labels: {name: promtail, __path__: /var/log/p.log}
"#
        .replace("[T\\d-:.Z]", "[T\\d\\-:.Z]")
        .as_str(),
    );
    let pipeline = &plan.files[0].pipeline;
    let line = "level=info ts=2023-11-14T22:13:20Z caller=x.go component=filetarget";
    assert_eq!(
        through(pipeline, &[("name", "promtail")], &[line]),
        [format!(r#"{{component="filetarget", level="info", name="promtail"}} {line} {{}}"#)]
    );
    assert_eq!(through(pipeline, &[("name", "nginx")], &["11.11.11.11 - frank"]), [r#"{name="nginx"}  - frank {}"#]);
}

#[test]
fn clients_elsewhere_are_offered_and_their_labels_added() {
    let plan = plan(
        "clients:
  - url: https://user:pw@logs.example.com:3100/loki/api/v1/push
    tenant_id: t1
    basic_auth: {username: u, password: p}
    tls_config: {insecure_skip_verify: true}
    external_labels: {site: attic, job: never}
    backoff_config: {max_retries: 10}
  - url: http://10.0.0.2:3100/loki/api/v1/push
    name: second
positions: {filename: /nowhere/positions.yaml}
scrape_configs:
  - job_name: a
    static_configs:
      - labels: {job: x, __path__: /a}
",
    );
    let names: Vec<&str> = plan.remotes.iter().map(|remote| remote.name.as_str()).collect();
    assert_eq!(names, ["logs.example.com", "second"]);
    let first = &plan.remotes[0];
    assert_eq!((first.line, first.tenant_id.as_deref()), (2, Some("t1")));
    assert!(first.http.tls_config.insecure_skip_verify && first.http.basic_auth.is_some());
    assert_eq!(shown(&files(&plan.files[0], &[])), [r#"/a - {job="x", site="attic"}"#]);
    let told = warnings(&plan);
    assert!(told[0].starts_with("2: ") && told[0].contains("forward destination of kind loki"), "{told:?}");
    assert!(told.iter().any(|warning| warning.contains("external_labels differ")), "{told:?}");
}

#[test]
fn what_is_not_supported_is_named_with_its_line() {
    let plan = jobs(
        "scrape_configs:
- job_name: push1
  loki_push_api:
    server:
      http_listen_port: 3500
    labels:
      pushserver: push1
- job_name: k
  kafka: {brokers: [a], topics: [b]}
- job_name: geo
  pipeline_stages:
  - json: {expressions: {ip: }}
  - geoip: {db: /x.mmdb, source: ip, db_type: city}
  - match:
      selector: '{a=\"b\"}'
      stages:
      - eventlogmessage: {}
      - labels: {ip: }
  static_configs:
  - labels: {a: b, __path__: /a}
tracing: {enabled: true}
limits_config:
  readline_rate_enabled: true
  readline_rate: 100
  max_line_size: 64b
",
    );
    let told = warnings(&plan);
    let has = |line: u64, part: &str| {
        assert!(
            told.iter().any(|w| w.starts_with(&format!("{line}: ")) && w.contains(part)),
            "{line} {part}: {told:#?}"
        );
    };
    has(14, "loki_push_api is not supported; job \"push1\" goes without it");
    has(19, "kafka is not supported");
    has(23, "stage geoip: not served");
    has(24, "stage eventlogmessage: not served");
    has(31, "tracing is not used");
    has(33, "readline_rate 100 (burst 10000) drops nothing here");
    assert_eq!(plan.files.len(), 1);
    let lines = [r#"{"ip":"1.2.3.4"}"#, &"x".repeat(65)];
    assert_eq!(
        through(&plan.files[0].pipeline, &[("a", "b")], &lines),
        [r#"{a="b", ip="1.2.3.4"} {"ip":"1.2.3.4"} {}"#]
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let check = |text: &str, line: u64, part: &str| {
        let text = format!("positions: {{filename: /nowhere/p}}\n{text}");
        let Err((at, reason)) = Plan::parse(&text, Path::new("/"), None) else { panic!("{text}: taken") };
        assert!(at == line && reason.contains(part), "{text}: {at}: {reason}");
    };
    check("scrape_config:\n", 2, "scrape_config");
    check("scrape_configs:\n- job_name: a\n  static_config: []\n", 4, "static_config");
    check("scrape_configs:\n- job_name: a\n  pipeline_stages:\n  - regex: {expression: '('}\n", 5, "regex");
    check("scrape_configs:\n- job_name: a\n  pipeline_stages:\n  - jsn: {}\n", 5, "jsn");
    check("scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {action: dropp}\n", 5, "dropp");
    check("scrape_configs:\n- job_name: a\n  journal: {max_age: soon}\n", 4, "\"soon\" is no duration");
    check("scrape_configs:\n- job_name: a\n  syslog: {labels: {}}\n", 4, "syslog needs a listen_address");
    check(
        "scrape_configs:\n- job_name: a\n  syslog: {listen_address: ':1', listen_protocol: sctp}\n",
        4,
        "\"sctp\" is neither tcp nor udp",
    );
    check(
        "scrape_configs:\n- job_name: a\n  encoding: klingon\n  static_configs: [{labels: {__path__: /a}}]\n",
        4,
        "encoding \"klingon\" is not known",
    );
    check(
        "scrape_configs:\n- job_name: a\n  kubernetes_sd_configs:\n  - role: pod\n  - roel: pod\n",
        6,
        "kubernetes_sd_configs: ",
    );
    check("clients:\n- url: 'not an address'\n", 3, "is no address");
    check("clients: [\n", 2, "");
    assert_eq!(
        super::PromtailError { file: "/p.yaml".to_owned(), line: 3, reason: "why".to_owned() }.to_string(),
        "/p.yaml:3: why"
    );
}

#[test]
fn a_file_is_loaded_with_its_environment_and_positions() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("positions.yaml"), "positions:\n  /var/log/a.log: \"42\"\n").unwrap();
    let file = directory.path().join("promtail.yaml");
    let text = "positions: {filename: positions.yaml}
scrape_configs:
- job_name: ${PROMTAIL_TEST_JOB_NAME_UNSET:-named}
  relabel_configs:
  - {source_labels: [a], target_label: b, regex: '(.*)\\\\d', replacement: '${1}'}
  static_configs: [{labels: {a: x1, __path__: /a}}]
";
    std::fs::write(&file, text).unwrap();
    let plan = Plan::load(&file, true, None).unwrap();
    assert_eq!(plan.files[0].name, "named");
    assert_eq!(plan.positions.files, [("/var/log/a.log".into(), 42)]);
    assert_eq!(shown(&files(&plan.files[0], &[])), [r#"/a - {a="x1", b="x"}"#]);
    let missing = Plan::load(&directory.path().join("none.yaml"), false, None).err().unwrap();
    assert!(missing.to_string().contains("none.yaml: "), "{missing}");
    std::fs::write(&file, "positions: {filename: positions.yaml}\nscrape_configs: 5\n").unwrap();
    let wrong = Plan::load(&file, false, None).err().unwrap().to_string();
    assert!(wrong.contains("promtail.yaml:2: "), "{wrong}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_fall_over(text in "[a-z_:\\-\\[\\]{}\n '\"$&*?|>!%@0-9]{0,200}") {
        _ = Plan::parse(&format!("positions: {{filename: /nowhere/p}}\n{text}"), Path::new("/"), None);
        _ = super::expand::expand(&text, |_| Some("x".to_owned()));
    }
}
