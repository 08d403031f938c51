//! Translation of monitoring.coreos.com objects.
