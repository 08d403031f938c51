//! Sending on: what goes to another hub, to a Prometheus, a Loki, an OpenTelemetry Collector or a file.
