//! What is behind each door.

use crate::appliance_system::Machine;
use crate::config::Config;
use crate::doors::{Door, Served};
use crate::nodes;
use crate::serving::door_addresses;
use crate::span_doors;
use axum::Router;
use bramble_collect::receivers::{self, NodeRegistry, ReceiverState};
use bramble_ingest::WritePath;
use bramble_serve::api::bramble::peers::OwnStores;
use bramble_serve::auth::Auth;
use bramble_serve::{ApiState, api, ui};
use std::sync::Arc;

/// What each door serves.
pub(crate) fn routed_doors(
    config: &Config,
    state: Arc<ApiState>,
    receivers: ReceiverState,
    path: &WritePath,
    (nodes, announced): (Arc<NodeRegistry>, bool),
    own: OwnStores,
    (auth, machine): (&Arc<Auth>, Arc<Machine>),
) -> Vec<Door> {
    let prometheus = || {
        let (read, write) = (api::prometheus::router(state.clone()), receivers::remote_write(receivers.clone()));
        read.merge(write).merge(receivers::import(receivers.clone()))
    };
    // VictoriaMetrics answers Prometheus' calls below a prefix too.
    let with_prefix = || prometheus().nest("/prometheus", prometheus());
    let loki = || api::loki::router(state.clone()).merge(receivers::loki_push(receivers.clone()));
    let tempo = || api::tempo::router(state.clone());
    // Grafana asks for streams at the root of the address, whatever the path of its data source.
    let tempo_grpc = || api::tempo::grpc_router(state.clone());
    let jaeger = || api::jaeger::router(state.clone());
    let otlp_http = || receivers::otlp_http(receivers.clone());
    let otlp_grpc = || {
        let of_nodes = nodes::receiver(receivers.clone(), nodes.clone());
        receivers::otlp_grpc(receivers.clone()).merge(of_nodes)
    };
    let of_hubs = api::bramble::peers::router(state.clone(), own);
    let node_port = config.doors.otlp_grpc.number().unwrap_or(0);
    let correlation = || api::correlate::router(state.clone());
    let machine: Arc<dyn api::bramble::system::System> = machine;
    let main = || {
        Router::new()
            .nest("/prometheus", prometheus())
            .nest("/loki", loki())
            .nest("/tempo", tempo())
            .nest("/jaeger", jaeger())
            .nest("/zipkin", receivers::zipkin(receivers.clone()))
            .merge(tempo_grpc())
            .merge(api::bramble::router(state.clone()))
            .merge(correlation().merge(receivers::correlation(receivers.clone())))
            .merge(otlp_http())
            .merge(nodes::api(nodes.clone(), node_port, announced))
            .merge(of_hubs.clone())
            .merge(api::bramble::system::router(machine.clone()))
            .merge(api::bramble::owner::router(auth.clone()))
            .merge(ui::router())
    };
    let router = |name: &str| match name {
        "main" => main(),
        "prometheus" => with_prefix(),
        "victoria_metrics" => api::prometheus::as_victoria(with_prefix()),
        "loki" => loki(),
        "tempo" => tempo().merge(tempo_grpc()),
        "jaeger" => jaeger(),
        "correlation" => {
            let door = api::correlate::door(state.clone()).merge(receivers::correlation(receivers.clone()));
            door.merge(otlp_http())
        }
        "otlp_grpc" | "otlp_grpc_old" => otlp_grpc(),
        _ => otlp_http(),
    };
    let compressed = |router: Router| {
        router.layer(api::compression()).layer(axum::middleware::from_fn(bramble_serve::remember_client))
    };
    let served = |name: &str| {
        let of_spans = span_doors::served(name, config, &receivers, path);
        of_spans.unwrap_or_else(|| Served::Http(compressed(router(name))))
    };
    let door = |(name, address)| Door { name, address, served: served(name), required: name == "main" };
    door_addresses(config).into_iter().map(door).collect()
}
