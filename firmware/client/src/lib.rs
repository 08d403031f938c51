//! Outgoing HTTP: connections, TLS, authentication and limits, configured as in Prometheus' `http_config`.
//!
//! Used by everything that goes and asks or tells another server: scraping, discovery, forwarding, notifications.
