//! Traces without a collector.
