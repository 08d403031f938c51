//! Targets in the DNS.

use super::config::DnsSdConfig;
use super::group::{TargetGroup, host_port};
use super::poll::Sink;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest wait for one name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Records of one name; more is a mistake in a zone.
const RECORDS_MAX: usize = 10_000;

pub(super) async fn run(config: DnsSdConfig, sink: Sink) {
    let interval = config.refresh_interval.0.max(Duration::from_millis(100));
    // Names keep what they last stood for while they cannot be looked up.
    let mut known: BTreeMap<String, TargetGroup> = BTreeMap::new();
    loop {
        // The system's servers may change; and an empty cache is wanted: records are asked for, not remembered.
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        match resolver {
            Err(error) => sink.failed(&format!("cannot read the system's resolver configuration: {error}")),
            Ok(resolver) => {
                let mut failure = None;
                for name in &config.names {
                    match look_up(&resolver, &config, name).await {
                        Ok(group) => _ = known.insert(name.clone(), group),
                        Err(error) => failure = Some(error),
                    }
                }
                let groups = known.values().cloned().collect();
                match failure {
                    None => sink.replace(groups),
                    Some(error) => sink.replace_partly(groups, &error),
                }
            }
        }
        tokio::time::sleep(interval).await;
    }
}

async fn look_up(resolver: &TokioResolver, config: &DnsSdConfig, name: &str) -> Result<TargetGroup, String> {
    let kind = match config.record_type.to_ascii_uppercase().as_str() {
        "A" => RecordType::A,
        "AAAA" => RecordType::AAAA,
        "MX" => RecordType::MX,
        "NS" => RecordType::NS,
        _ => RecordType::SRV,
    };
    let failed = |reason: String| format!("could not resolve \"{name}\" ({kind}): {reason}");
    let mut group = TargetGroup { source: name.to_owned(), ..TargetGroup::default() };
    let lookup = tokio::time::timeout(LOOKUP_TIMEOUT, resolver.lookup(name, kind)).await;
    let answer = match lookup.map_err(|_| failed("no answer in time".to_owned()))? {
        Ok(answer) => answer,
        // A name without such records is an answer: there is no target.
        Err(error) if error.is_no_records_found() && !error.is_nx_domain() => return Ok(group),
        Err(error) if error.is_nx_domain() => return Err(failed("no such host".to_owned())),
        Err(error) => return Err(failed(error.to_string())),
    };
    for record in answer.answers().iter().take(RECORDS_MAX) {
        if let Some((address, labels)) = target(&record.data, config.port) {
            let mut all = vec![("__address__".to_owned(), address), ("__meta_dns_name".to_owned(), name.to_owned())];
            all.extend(labels);
            group.targets.push(all);
        }
    }
    Ok(group)
}

/// The address a record stands for, and the labels that say so.
fn target(data: &RData, port: u16) -> Option<(String, Vec<(String, String)>)> {
    let bare = |name: &str| name.trim_end_matches('.').to_owned();
    let label = |name: &str, value: String| (name.to_owned(), value);
    Some(match data {
        RData::A(address) => (host_port(&address.0.to_string(), port), Vec::new()),
        RData::AAAA(address) => (host_port(&address.0.to_string(), port), Vec::new()),
        RData::SRV(srv) => {
            let (host, port) = (srv.target.to_utf8(), srv.port);
            let labels = vec![
                label("__meta_dns_srv_record_target", host.clone()),
                label("__meta_dns_srv_record_port", port.to_string()),
            ];
            (host_port(&bare(&host), port), labels)
        }
        RData::MX(mx) => {
            let host = mx.exchange.to_utf8();
            (host_port(&bare(&host), port), vec![label("__meta_dns_mx_record_target", host)])
        }
        RData::NS(ns) => {
            let host = ns.0.to_utf8();
            (host_port(&bare(&host), port), vec![label("__meta_dns_ns_record_target", host)])
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::Name;
    use hickory_resolver::proto::rr::rdata::{A, MX, SRV};

    #[test]
    fn records_become_addresses() {
        let srv = RData::SRV(SRV::new(0, 0, 3306, Name::from_ascii("db1.example.com.").unwrap()));
        let (address, labels) = target(&srv, 0).unwrap();
        assert_eq!(address, "db1.example.com:3306");
        assert_eq!(labels[0], ("__meta_dns_srv_record_target".to_owned(), "db1.example.com.".to_owned()));
        assert_eq!(labels[1], ("__meta_dns_srv_record_port".to_owned(), "3306".to_owned()));
        let a = RData::A(A::new(192, 0, 2, 2));
        assert_eq!(target(&a, 80).unwrap().0, "192.0.2.2:80");
        let mx = RData::MX(MX::new(0, Name::from_ascii("smtp1.example.com.").unwrap()));
        let (address, labels) = target(&mx, 25).unwrap();
        assert_eq!(address, "smtp1.example.com:25");
        assert_eq!(labels[0].1, "smtp1.example.com.");
    }
}
