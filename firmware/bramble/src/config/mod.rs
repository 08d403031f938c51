//! Configuration: one TOML file, overridable by environment; every setting has a default.
//!
//! Each setting is declared once, in [`Config`]'s table below: its type, default and explanation. Reading, the
//! environment's names (`BRAMBLE_<SECTION>_<KEY>`), `print-config`, and the user guide's table all come from it.

mod deletion;
mod derived;
mod lists;
mod load;
mod role;
mod sampling;
mod secret;
mod share;
mod value;
mod when;
mod zone;

pub(crate) use deletion::DeletionMode;
pub(crate) use derived::{Bounds, HistogramsSetting, SpanNamesSetting};
pub(crate) use lists::Lists;
pub(crate) use load::{Loaded, check_text, load};
pub(crate) use role::Role;
pub(crate) use sampling::Rules;
pub(crate) use secret::Secret;
pub(crate) use share::Share;
pub(crate) use value::{
    Door, Interval, LogLevel, Names, Optional, Raw, SettingValue, Size, TimeTrustSetting, TranslationSetting, Words,
};
pub(crate) use when::When;
pub(crate) use zone::Zone;

use bramble_collect::receivers::LogOptions;
use bramble_derive::{DeriveOptions, Histograms, SpanNames};
use bramble_store_logs::FloatingRules;

/// One setting, for printing.
pub(crate) struct Entry {
    /// `section.key`.
    pub name: String,
    /// What it means.
    pub doc: &'static str,
    /// What form its value takes.
    pub kind: &'static str,
    /// Its value as TOML.
    pub value: String,
    /// Its default as TOML.
    pub default: String,
}

macro_rules! settings {
    ($( #[doc = $section_doc:literal] $section:ident : $Section:ident { $( #[doc = $doc:literal] $key:ident : $ty:ty = $default:expr ; )* } )*) => {
        $(
            #[doc = $section_doc]
            #[derive(Clone, Debug, PartialEq)]
            pub(crate) struct $Section {
                $( #[doc = $doc] pub(crate) $key: $ty, )*
            }

            impl Default for $Section {
                fn default() -> Self {
                    $Section { $( $key: $default, )* }
                }
            }
        )*

        /// All settings.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Config {
            $( #[doc = $section_doc] pub(crate) $section: $Section, )*
        }

        impl Config {
            /// Sets one setting; `None` when there is no such setting, the reason when the value does not fit.
            pub(crate) fn set(&mut self, section: &str, key: &str, raw: &Raw) -> Option<Result<(), String>> {
                $( $(
                    if section == stringify!($section) && key == stringify!($key) {
                        return Some(<$ty>::read(raw).map(|value| self.$section.$key = value));
                    }
                )* )*
                None
            }

            /// All settings in the table's order.
            pub(crate) fn entries(&self) -> Vec<Entry> {
                let defaults = Config::default();
                vec![ $( $( Entry {
                    name: concat!(stringify!($section), ".", stringify!($key)).to_owned(),
                    doc: $doc.trim(),
                    kind: <$ty>::KIND,
                    value: self.$section.$key.show(),
                    default: defaults.$section.$key.show(),
                }, )* )* ]
            }

            /// Sections with their explanation.
            pub(crate) fn sections() -> Vec<(&'static str, &'static str)> {
                vec![ $( (stringify!($section), $section_doc.trim()), )* ]
            }
        }
    };
}

settings! {
    /// Memory.
    memory: MemorySettings {
        /// Hard cap on memory. "auto" is a quarter of RAM, at most 256 MiB. Budgets for heads, caches, queries and request bodies are divided from it.
        cap: Optional<Size> = Optional(None);
    }
    /// Where data is kept and how long.
    storage: StorageSettings {
        /// Data directory. "auto" is the first that can be written of /var/lib/bramble, $XDG_DATA_HOME/bramble, ~/.local/share/bramble.
        data_dir: Optional<String> = Optional(None);
        /// How files are written: "auto" probes io_uring and falls back to threads; or "io_uring", "threads".
        disk: Words = Words::of("auto", &["auto", "io_uring", "threads"]);
        /// Bytes that everything together may take. "auto" is what the file system has, less the reserve.
        total: Optional<Size> = Optional(None);
        /// Free space of the file system that is never used.
        reserve: Optional<Size> = Optional(None);
        /// Days the hot tier is kept: metrics at full resolution, traces in full.
        hot_days: u64 = 15;
        /// Days the warm tier is kept: logs, traces with errors or slow roots.
        warm_days: u64 = 30;
        /// Days the cold tier is kept: rollups and history.
        cold_days: u64 = 90;
        /// Byte limit of metrics in the hot tier.
        metrics_hot: Optional<Size> = Optional(None);
        /// Byte limit of metrics in the cold tier.
        metrics_cold: Optional<Size> = Optional(None);
        /// Byte limit of logs in the warm tier.
        logs_warm: Optional<Size> = Optional(None);
        /// Byte limit of traces in the hot tier.
        traces_hot: Optional<Size> = Optional(None);
        /// Byte limit of traces in the warm tier.
        traces_warm: Optional<Size> = Optional(None);
        /// When wall time is believed for retention: "auto" asks the kernel whether the clock is synchronised (or has a battery), "always" believes it.
        time_trust: TimeTrustSetting = TimeTrustSetting::Auto;
    }
    /// The journal: what makes acknowledged data durable.
    journal: JournalSettings {
        /// Longest wait before a commit while a sender waits for its answer.
        sender_wait: Interval = Interval::seconds(1);
        /// Longest wait before a commit while nobody waits (host metrics, scrapes): what a power cut may cost of such data, against card life.
        background_wait: Interval = Interval::seconds(10);
        /// Largest size of the journal's ring.
        max_size: Size = Size::mib(96);
    }
    /// Doors: addresses we listen on. A port alone listens on `listen`; "address:port" on that address; "off" closes the door.
    doors: DoorSettings {
        /// Address of all doors that name only a port. Loopback unless told otherwise.
        listen: String = "127.0.0.1".to_owned();
        /// Web UI, Bramble API and all others under a prefix.
        main: Door = Door::port(3000);
        /// Prometheus API and remote write.
        prometheus: Door = Door::port(9090);
        /// The same, where VictoriaMetrics' clients expect it.
        victoria_metrics: Door = Door::port(8428);
        /// Loki API and push.
        loki: Door = Door::port(3100);
        /// Tempo API.
        tempo: Door = Door::port(3200);
        /// Jaeger query API.
        jaeger: Door = Door::port(16686);
        /// OTLP over gRPC.
        otlp_grpc: Door = Door::port(4317);
        /// OTLP over gRPC on its old port.
        otlp_grpc_old: Door = Door::port(55680);
        /// OTLP over HTTP.
        otlp_http: Door = Door::port(4318);
        /// OTLP over HTTP on its old port.
        otlp_http_old: Door = Door::port(55681);
        /// Jaeger's agent: packets of spans by UDP, Thrift compact (either of the two takes both).
        jaeger_thrift_compact: Door = Door::port(6831);
        /// Jaeger's agent: packets of spans by UDP, Thrift binary.
        jaeger_thrift_binary: Door = Door::port(6832);
        /// Jaeger's collector: spans as Thrift over HTTP, and sampling.
        jaeger_thrift_http: Door = Door::port(14268);
        /// Jaeger's collector: spans over gRPC, and sampling.
        jaeger_grpc: Door = Door::port(14250);
        /// Jaeger's agent: what share of traces clients are to record.
        jaeger_sampling: Door = Door::port(5778);
        /// Zipkin's collector.
        zipkin: Door = Door::port(9411);
        /// Syslog, RFC 5424 and 3164, by UDP and by TCP.
        syslog: Door = Door::port(1514);
        /// Correlations, and the API of the engine that made them before: logs and OTLP in, correlations and stories out.
        correlation: Door = Door::port(8080);
        /// Whether we are ready, where OpenTelemetry's Collector and Jaeger 2 say it.
        health: Door = Door::port(13133);
        /// Whether we are ready, where Jaeger 1 says it.
        jaeger_health: Door = Door::port(14269);
    }
    /// What is taken in.
    ingest: IngestSettings {
        /// Largest request body as it arrives.
        body_max: Size = Size::mib(8);
        /// Largest request body after decompression.
        decompressed_max: Size = Size::mib(16);
        /// Series in memory, in all.
        series_max: u64 = 1_000_000;
        /// Streams in memory, in all.
        streams_max: u64 = 50_000;
        /// Longest log line.
        line_max: Size = Size::kib(256);
        /// Longest name of a label of a series or a log stream.
        label_name_max: Size = Size::kib(1);
        /// Longest value of a label of a series or a log stream.
        label_value_max: Size = Size::kib(4);
        /// Oldest age at which items are taken; "off" takes any age.
        max_age: Optional<Interval> = Optional(Some(Interval::days(90)));
        /// How much older than its series' newest sample in memory a metric sample may be; "off" takes any. A series without samples in memory may begin at any age that is taken, and imports are not held to this.
        out_of_order: Optional<Interval> = Optional(Some(Interval::seconds(1800)));
        /// How far ahead of the clock a timestamp may be; "off" takes any.
        max_ahead: Optional<Interval> = Optional(Some(Interval::seconds(600)));
        /// Whether Loki pushes get a `service_name` label derived as Loki does.
        loki_service_name: bool = true;
        /// Whether log entries get a `detected_level`, as Loki does.
        loki_detect_level: bool = true;
    }
    /// Logs, by whatever protocol they come.
    logs: LogsSettings {
        /// Labels that are kept out of streams, because they have a value per request: they are stored with each entry, and shown and matched as the stream labels they came as.
        floating_labels: Names = Names(FloatingRules::default().names);
        /// Any other label with more distinct values than about this among the streams of today and yesterday is kept out of streams from then on; 0 leaves it to `floating_labels`.
        floating_values: u64 = 1000;
        /// Labels that stay with streams however many values they have, unless `floating_labels` has them.
        never_floating: Names = Names(FloatingRules::default().kept);
        /// Fields that become stream labels: attributes of resources and records that come by OTLP, structured metadata of pushes; say `tenant_id, endpoint`.
        promote: Names = Names::default();
        /// Resource attributes that become stream labels of logs that come by OTLP: `attribute=label`, or the attribute alone, with underscores for its dots. Where several give one label the first that is there does.
        otlp_labels: Names = Names(LogOptions::default().texts());
        /// Oldest age at which log lines are taken, where that is less than `ingest.max_age`; "off" leaves it to that.
        max_age: Optional<Interval> = Optional(None);
        /// How much older than its stream's newest line in memory a line may be; "off" takes any order.
        out_of_order: Optional<Interval> = Optional(None);
        /// Whether lines longer than `ingest.line_max` are cut to it; otherwise they are refused.
        line_truncate: bool = false;
        /// Labels that a stream may have.
        labels_max: u64 = 32;
        /// Bytes of structured metadata that a line may have.
        metadata_max: Size = Size::kib(64);
        /// Names of structured metadata that a line may have.
        metadata_count_max: u64 = 256;
        /// Bytes of lines and metadata per second that are taken, with bursts of half as much again; "off" takes any.
        rate: Optional<Size> = Optional(None);
        /// Bytes per second that are taken of each stream, with bursts of five times as much; "off" takes any.
        stream_rate: Optional<Size> = Optional(None);
    }
    /// What falls out of spans on arrival, as ordinary series: span metrics and the service graph.
    traces: TracesSettings {
        /// Whether anything is derived from spans.
        derived_metrics: bool = true;
        /// How often derived series are written.
        derived_interval: Interval = Interval::seconds(15);
        /// Names of span metrics: "tempo" as its metrics-generator (`traces_spanmetrics_*`, seconds), "connector" as the OpenTelemetry Collector's span-metrics connector (`traces_span_metrics_*`, milliseconds), or both.
        span_metrics: SpanNamesSetting = SpanNamesSetting(Some(SpanNames::Tempo));
        /// Whether there are series of the service graph (`traces_service_graph_*`).
        service_graph: bool = true;
        /// Form of the histograms of durations: series per bucket, or native histograms.
        histograms: HistogramsSetting = HistogramsSetting(Histograms::Classic);
        /// Upper bounds of the buckets of span durations. "auto" is what Tempo, or the connector, has by default.
        span_buckets: Optional<Bounds> = Optional(None);
        /// Upper bounds of the buckets of the service graph's durations. "auto" is what Tempo has by default.
        graph_buckets: Optional<Bounds> = Optional(None);
        /// Attributes of spans, or of their resources, that become labels of span metrics, with underscores for what labels may not have.
        dimensions: Names = Names::default();
        /// Whether the status message is a label of span metrics.
        status_message: bool = false;
        /// Whether resource attributes are told by `traces_target_info`, and span metrics get `job` and `instance` to join with it.
        target_info: bool = false;
        /// Services whose spans are left out.
        services_left_out: Names = Names::default();
        /// Label sets of span metrics at once; spans beyond go to `span_name="other"` of their service.
        label_sets_max: u64 = DeriveOptions::default().sets_max as u64;
        /// Edges of the service graph at once.
        edges_max: u64 = DeriveOptions::default().edges_max as u64;
        /// Spans that may wait for the other side of their call at once.
        edges_waiting_max: u64 = DeriveOptions::default().waiting_max as u64;
        /// How long they wait.
        edge_wait: Interval = Interval::seconds(10);
        /// After how much time without a span its series end.
        idle: Interval = Interval::seconds(900);
        /// Attributes of a client's span that name the other side where it sends no spans; the first that is there does.
        peer_attributes: Names = Names(DeriveOptions::default().peer_attributes);
        /// Attributes of a client's span that say that it asks a database, and which.
        database_attributes: Names = Names(DeriveOptions::default().database_attributes);
        /// Exemplars each time that derived series are written.
        exemplars_max: u64 = DeriveOptions::default().exemplars_max as u64;
    }
    /// Joining logs, spans and exemplars of one trace.
    correlation: CorrelationSettings {
        /// Whether anything is joined.
        enabled: bool = true;
        /// Length of a window, from a trace's first item. The variable CORR_WINDOW_SECONDS says the same, in seconds.
        window: Interval = Interval::seconds(60);
        /// How long after its publication a correlation is revised when more of its items come.
        grace: Interval = Interval::seconds(60);
        /// Windows at once, open or in their grace; when there are more the oldest are closed early.
        windows_max: u64 = 10_000;
        /// Items that are kept of one window; of more, only counts.
        items_max: u64 = 1000;
        /// Traces that may share a request id within a window; entries without a trace are joined by no id that more have.
        request_traces_max: u64 = 4;
        /// Whether a span `correlation` is written into each trace that is correlated.
        spans: bool = true;
        /// Bytes of stored correlations; beyond, their oldest days go. They are kept as long as the cold tier.
        storage_max: Size = Size::mib(1024);
        /// Clients that may listen for new correlations at once.
        listeners_max: u64 = 16;
    }
    /// Hub or node.
    cluster: ClusterSettings {
        /// "hub" stores and serves; "node" collects and sends everything on to a hub. `role` at the top of the file says the same.
        role: Role = Role::Hub;
        /// Whether a hub announces itself in the local network by mDNS (`_bramble._tcp`), if it listens on more than loopback.
        announce: bool = true;
        /// Nodes that a hub takes.
        nodes_max: u64 = 256;
        /// Main doors of other hubs (`http://host:port`) that queries at this one are answered from as well: merged, what is on several once. Of one that does not answer, the query is warned.
        peers: Names = Names::default();
        /// A token of those hubs with the scope read, where they have an owner.
        peer_token: Secret = Secret::default();
        /// Longest wait for a connection to another hub, and for each sign of life while it answers.
        peer_timeout: Interval = Interval::seconds(5);
    }
    /// Who may do what (docs/security.md).
    security: SecuritySettings {
        /// Whether other machines get nothing but the set-up and health until an owner is set, and a token or session is needed from then on. Off, that holds from the moment an owner is set.
        require_owner: bool = false;
        /// A set-up code of six digits instead of a random one.
        setup_code: Secret = Secret::default();
        /// Addresses or networks (CIDR) of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. What any other proxy forwards counts as coming from outside.
        trusted_proxies: Names = Names::default();
    }
    /// A node: how it reaches its hubs, and how much waits while they are away.
    node: NodeSettings {
        /// Its hubs, one or two, as `host` or `host:port` of their OTLP gRPC door. None: hubs that announce themselves in the local network.
        hubs: Names = Names::default();
        /// What the hub calls it. "auto" is the host name.
        name: Optional<String> = Optional(None);
        /// The one-time token that enrols it (`bramble token create` on the hub). Needed until it is enrolled.
        token: Secret = Secret::default();
        /// A file with that token.
        token_file: Optional<String> = Optional(None);
        /// Bytes of the queue on disk, of each hub, while it is away; beyond, the oldest are dropped and counted.
        queue_max: Size = Size::mib(1024);
        /// Age at which what waits is dropped, and counted.
        queue_max_age: Interval = Interval::days(7);
        /// Memory of what waits to be sent; beyond, it goes to the queue on disk.
        memory_max: Size = Size::mib(4);
        /// Time limit of one request to the hub.
        request_timeout: Interval = Interval::seconds(10);
    }
    /// Scraping.
    scrape: ScrapeSettings {
        /// Prometheus' configuration (`prometheus.yml`), read as it is. "auto" scrapes nothing.
        config: Optional<String> = Optional(None);
    }
    /// Kubernetes.
    kubernetes: KubernetesSettings {
        /// Whether ServiceMonitor and PodMonitor objects are scraped, as the Prometheus operator makes Prometheus do.
        monitors: bool = false;
        /// Whether pods and services with the annotations `prometheus.io/scrape`, `port`, `path` and `scheme` are scraped.
        annotations: bool = false;
        /// Whether events (OOMKilled, Evicted, FailedScheduling…) are taken as log lines.
        events: bool = false;
        /// Address of the API. "auto" is that of the cluster that this runs in.
        api_server: Optional<String> = Optional(None);
        /// A kubeconfig with address and credentials.
        kubeconfig: Optional<String> = Optional(None);
    }
    /// Promtail's configuration.
    promtail: PromtailSettings {
        /// `promtail.yaml`, read as it is. "auto" is none.
        config: Optional<String> = Optional(None);
        /// Whether `${VARIABLE}` in it is replaced from the environment, as Promtail's `-config.expand-env` does.
        expand_env: bool = false;
    }
    /// Log sources of this machine.
    collect: CollectSettings {
        /// Files that are tailed without further words: mdso (`/var/log/ciena/blueplanet.log`, `/bp2/log/*.log`), k3s, docker, host.
        presets: Names = Names::default();
        /// Files that are tailed at once.
        files_max: u64 = 1024;
        /// Files that are open at once.
        file_handles_max: u64 = 128;
    }
    /// The systemd journal.
    journald: JournaldSettings {
        /// Whether it is read: "auto" where libsystemd and a journal are there.
        enabled: When = When::Auto;
        /// Directory of the journal. "auto" is the machine's own.
        directory: Optional<String> = Optional(None);
        /// Units whose entries are read; none for all.
        units: Names = Names::default();
        /// What entries must match, each as FIELD=value.
        matches: Names = Names::default();
        /// How far back reading begins at the first start.
        first_read: Interval = Interval::days(1);
    }
    /// Messages of the kernel.
    kmsg: KmsgSettings {
        /// Whether they are read from /dev/kmsg: "auto" where no systemd journal is read, which has them too.
        enabled: When = When::Auto;
    }
    /// Syslog.
    syslog: SyslogSettings {
        /// The zone of times that name none: "local", "UTC" or an offset such as "+01:00".
        time_zone: Zone = Zone::default();
        /// TCP connections at a time.
        connections_max: u64 = 256;
        /// Longest message; the rest is cut off.
        message_max: Size = Size::kib(64);
    }
    /// Secrets and personal data in what is taken in.
    redaction: RedactionSettings {
        /// Whether well-known shapes of secrets (access keys, tokens, private keys, passwords in URLs) are replaced in log lines, metadata and span attributes before they are stored.
        enabled: bool = true;
        /// Kinds that are replaced beside those: email, ipv4, ipv6, phone.
        also: Names = Names::default();
        /// Kinds that are left alone.
        not: Names = Names::default();
    }
    /// Which traces are kept, of those that are sent. Derived metrics count all of them.
    sampling: SamplingSettings {
        /// Share of traces that is kept at once, by their ids as OpenTelemetry's consistent probability sampling decides.
        head: Share = Share(1.0);
        /// Spans per second that are kept at once, trace by trace; "off" for any number.
        head_spans_per_second: Optional<u64> = Optional(None);
        /// Whether whole traces are judged after a while. Senders are then answered before their spans are durable: a power cut costs what waits.
        tail: bool = false;
        /// How long after its first span a trace is judged.
        tail_wait: Interval = Interval::seconds(10);
        /// Traces that may wait at once; when there are more the oldest is judged early.
        tail_traces_max: u64 = 10_000;
        /// Memory of what waits, at most half of what request bodies may take; when there is more the oldest trace is judged early.
        tail_memory: Size = Size::mib(4);
        /// Whether traces with a failed span are kept.
        keep_errors: bool = true;
        /// Traces whose root takes this long are kept; "off" looks at no roots.
        keep_slow_root: Optional<Interval> = Optional(Some(Interval::seconds(1)));
        /// Traces with any span that takes this long are kept; "off" looks at no spans.
        keep_slow_span: Optional<Interval> = Optional(None);
        /// Traces with such an attribute on a span or its resource are kept: "key", "key=value" or "key=~expression".
        keep_attributes: Rules = Rules(Vec::new());
        /// Share of all other traces that is kept.
        keep_rest: Share = Share(1.0);
        /// Spans per second that are kept of what was judged; "off" for any number.
        tail_spans_per_second: Optional<u64> = Optional(None);
        /// Decisions that are remembered, for spans that come late.
        decisions_max: u64 = 10_000;
    }
    /// Metrics that come by OTLP: what Prometheus' section of this name says, under its names.
    otlp: OtlpSettings {
        /// What becomes of metric and label names: whether characters other than letters, digits and underscores are replaced, and whether unit and type are appended.
        translation_strategy: TranslationSetting = TranslationSetting::default();
        /// Resource attributes that become labels of every series of the resource.
        promote_resource_attributes: Names = Names::default();
        /// Whether all resource attributes become labels, but for `ignore_resource_attributes`.
        promote_all_resource_attributes: bool = false;
        /// Resource attributes that do not become labels where all others do.
        ignore_resource_attributes: Names = Names::default();
        /// Whether `target_info` also has the attributes that `job` and `instance` are made of.
        keep_identifying_resource_attributes: bool = false;
        /// Whether every series has its scope's name, version, schema and attributes as `otel_scope_*` labels.
        promote_scope_metadata: bool = false;
        /// Whether histograms with explicit bounds become native histograms with custom bounds.
        convert_histograms_to_nhcb: bool = false;
        /// Memory for the sums of streams with delta temporality, at most an eighth of what request bodies may take; over it, those not used for longest start again from zero.
        delta_memory: Size = Size::mib(1);
    }
    /// What Jaeger's clients are told.
    jaeger: JaegerSettings {
        /// Share of traces that clients with remote sampling are to record.
        sampling_rate: Share = Share(1.0);
        /// Traces per second that each client with remote sampling is to record; 0 goes by the share.
        sampling_traces_per_second: u64 = 0;
    }
    /// Queries.
    query: QuerySettings {
        /// Time limit of one query.
        timeout: Interval = Interval::seconds(60);
        /// Queries that run at the same time; further ones wait.
        concurrency: u64 = 4;
        /// Samples that one query may load.
        max_samples: u64 = 50_000_000;
        /// How far an instant looks back for a sample.
        lookback: Interval = Interval::seconds(300);
        /// Whether PromQL is that of Prometheus after 3.5: `anchored` and `smoothed` ranges, `first_over_time`, `histogram_quantiles`, `step()` and others, start timestamps in rates. Off, such queries fail as in 3.5.
        promql_newest: bool = false;
        /// Whether metric names are removed at the end of a query and not by each operation, as Prometheus' feature `promql-delayed-name-removal` does.
        delayed_name_removal: bool = false;
    }
    /// What Prometheus' API allows beyond asking.
    prometheus: PrometheusSettings {
        /// Whether series may be deleted and snapshots made over HTTP (`/api/v1/admin/tsdb`).
        enable_admin_api: bool = false;
        /// Whether the process may be told over HTTP to read its configuration again or to stop (`/-/reload`, `/-/quit`).
        enable_lifecycle: bool = false;
    }
    /// What Loki's API allows, under Loki's names.
    loki: LokiSettings {
        /// Lines that one query may ask for.
        max_entries_limit_per_query: u64 = 5000;
        /// Longest range of one query; "0s" for any.
        max_query_length: Interval = Interval::hours(721);
        /// How far back queries see; "0s" for any distance.
        max_query_lookback: Interval = Interval::seconds(0);
        /// Series that a metric query over logs may give; 0 for any number.
        max_query_series: u64 = 500;
        /// Series that an answer about volumes may have.
        volume_max_series: u64 = 1000;
        /// Whether `approx_topk` is answered, as `topk` would be; otherwise it is refused, as by a Loki with its own defaults.
        approx_topk: bool = false;
        /// Live tails at once; further ones are told so and closed.
        max_concurrent_tail_requests: u64 = 10;
        /// How long one live tail may last; then it is closed, and clients connect anew.
        tail_max_duration: Interval = Interval::seconds(3600);
        /// Whether log entries may be deleted over HTTP (`/loki/api/v1/delete`): "filter-and-delete" hides them at once and removes them later, "disabled" refuses.
        deletion_mode: DeletionMode = DeletionMode::FilterAndDelete;
        /// For how long a deletion can be taken back; then its entries are removed from disk.
        delete_request_cancel_period: Interval = Interval::days(1);
    }
    /// What Tempo's API allows, under Tempo's names.
    tempo: TempoSettings {
        /// Traces of a search that names no limit.
        default_result_limit: u64 = 20;
        /// Traces that a search may ask for; 0 for any number.
        max_result_limit: u64 = 10_000;
        /// Spans of each span set that a search may ask for; 0 for any number.
        max_spans_per_span_set: u64 = 0;
        /// Longest range of a search; "0s" for any.
        search_max_duration: Interval = Interval::seconds(0);
        /// Longest range of a query that measures; "0s" for any.
        metrics_max_duration: Interval = Interval::seconds(0);
        /// Exemplars that a query that measures may ask for.
        max_exemplars: u64 = 100;
        /// Series of an answer; further ones are left out, and the answer says so. 0 for any number.
        max_response_series: u64 = 1000;
        /// Longest query.
        max_query_expression_size: Size = Size::kib(128);
        /// Largest message of a stream over gRPC, from 16 KiB to 3 MiB.
        max_grpc_streaming_packet_size: Size = Size::mib(2);
    }
    /// Metrics of this machine, under node_exporter's names.
    host: HostSettings {
        /// Whether they are collected.
        enabled: bool = true;
        /// How often.
        interval: Interval = Interval::seconds(5);
        /// Directory of text files (`*.prom`) whose samples are taken along, as node_exporter's textfile collector does. "auto" is none.
        textfile_directory: Optional<String> = Optional(None);
        /// Programs that are told one by one, those that take the most CPU and memory; 0 for none.
        processes_top: u64 = 10;
        /// Whether states of systemd's units are told.
        systemd_units: bool = true;
        /// Bytes that the card may be written in its life, as its maker says: for the forecast of its wear. "auto" is not known.
        card_endurance: Optional<Size> = Optional(None);
    }
    /// The board, where it is a Raspberry Pi: its light, a button, a fan.
    board: BoardSettings {
        /// Whether they are driven: "auto" on a Raspberry Pi; "on" tells if this is none, or if its light may not be used.
        enabled: When = When::Auto;
        /// Whether the board's green LED says how Bramble is.
        status_led: bool = true;
        /// GPIO of another status LED; 0 to 27. "auto" is none.
        led_gpio: Optional<u64> = Optional(None);
        /// Whether that LED is lit when its GPIO is low.
        led_inverted: bool = false;
        /// GPIO of a button to ground. "auto" is none.
        button_gpio: Optional<u64> = Optional(None);
        /// GPIO of a fan: 12, 13, 18 or 19, which have hardware PWM. "auto" is none; the Pi 5's own fan header is the kernel's.
        fan_gpio: Optional<u64> = Optional(None);
        /// Whether the fan runs while its GPIO is low.
        fan_inverted: bool = false;
        /// Temperature in degrees Celsius at which the fan starts, at 30 % duty.
        fan_start_celsius: u64 = 55;
        /// Temperature in degrees Celsius from which the fan runs in full.
        fan_full_celsius: u64 = 75;
    }
    /// Bramble's own telemetry, into its own stores.
    own: OwnSettings {
        /// Whether it is stored.
        enabled: bool = true;
        /// How often own metrics are sampled.
        interval: Interval = Interval::seconds(15);
    }
    /// Bramble's own log.
    log: LogSettings {
        /// Least severe level that is written: error, warn, info, debug or trace.
        level: LogLevel = LogLevel::info();
    }
}
