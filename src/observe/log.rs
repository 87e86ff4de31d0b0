//! Where the log goes and how it looks: human or JSON lines on standard error.
//!
//! Pingora logs through the `log` crate; its records are bridged here. It calls every client that
//! goes away an error: those lines are warnings to an operator, whose access line says the rest.
//!
//! Libraries write heads and frames, tokens and all, at `debug` and `trace`. They are never heard
//! below `info`, whatever `log.level` says; only Vestibule's own lines are.

use crate::config::model;
use std::io::IsTerminal as _;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "log.level `{level}` is not a filter: {cause}; write `info`, or `info,vestibule=debug`"
    )]
    Level { level: String, cause: ParseError },
    #[error("the log is set up already")]
    Twice,
}

/// Sets the process's log up, once.
pub fn init(config: &model::Log) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&config.level).map_err(|cause| LogError::Level {
        level: config.level.clone(),
        cause,
    })?;
    let filter = filter.and(filter_fn(may_be_heard));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let set = if config.json {
        let lines = lines.json().flatten_event(true).with_current_span(false);
        tracing::subscriber::set_global_default(Registry::default().with(lines.with_filter(filter)))
    } else {
        let lines = lines.with_ansi(std::io::stderr().is_terminal());
        tracing::subscriber::set_global_default(Registry::default().with(lines.with_filter(filter)))
    };
    set.map_err(|_| LogError::Twice)?;
    log::set_boxed_logger(Box::new(Bridge(tracing_log::LogTracer::new())))
        .map_err(|_| LogError::Twice)?;
    log::set_max_level(log::LevelFilter::Info);
    Ok(())
}

/// Whether a line may be written at all: ours, or one that no secret is in.
fn may_be_heard(of: &Metadata<'_>) -> bool {
    let target = of.target();
    let ours = target == "access"
        || target == "audit"
        || target == "vestibule"
        || target.starts_with("vestibule::");
    ours || *of.level() <= Level::INFO
}

/// Hands records of the `log` crate to tracing.
struct Bridge(tracing_log::LogTracer);

/// The level at which a record of `target` is logged.
fn level_of(target: &str, level: log::Level) -> log::Level {
    if level == log::Level::Error && target.starts_with("pingora") {
        log::Level::Warn
    } else {
        level
    }
}

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info && self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = level_of(record.target(), record.level());
        self.0.log(
            &log::Record::builder()
                .args(*record.args())
                .level(level)
                .target(record.target())
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .build(),
        );
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pingoras_errors_are_warnings() {
        use log::Level::{Error, Info, Warn};
        assert_eq!(level_of("pingora_proxy::proxy_h1", Error), Warn);
        assert_eq!(level_of("pingora_core", Info), Info);
        assert_eq!(level_of("sqlx", Error), Error);
    }

    #[test]
    fn a_bad_level_is_named() {
        let config = model::Log {
            json: false,
            level: "vestibule=loud".to_owned(),
        };
        let error = init(&config).unwrap_err().to_string();
        assert!(
            error.contains("`vestibule=loud`") && error.contains("write `info`"),
            "{error}"
        );
    }
}
