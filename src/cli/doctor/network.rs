//! Those whom the gateway talks to: providers, issuers, backends; and by their answers, the time.

use super::report::{ClockSeen, Finding, Found};
use super::{Look, Patient};
use crate::app::reach;
use crate::config::model::{SmsProvider, Smtp};
use crate::delivery::Providers;
use crate::delivery::reach::{Answered, Unreached};
use crate::observe::traces;
use std::path::Path;
use std::sync::Arc;

/// A code of an authenticator app is good for 30 seconds before and after its own.
const FAIL_SECS: u64 = 30;
const WARN_SECS: u64 = 5;
/// There once systemd-timesyncd has set the clock.
const TIMESYNC: &str = "/run/systemd/timesync/synchronized";

/// In the order of the config.
pub(super) fn looks(patient: &Arc<Patient>) -> Vec<Look> {
    let config = &patient.config;
    let mut looks = providers(patient);
    for name in config.identities.keys() {
        let (patient, name) = (Arc::clone(patient), name.clone());
        looks.push(Look::new(format!("identities.{name}"), async move {
            issuer(&patient, &name).await
        }));
    }
    for (name, upstream) in &config.upstreams {
        for server in &upstream.servers {
            let (patient, name, server) = (Arc::clone(patient), name.clone(), server.clone());
            looks.push(Look::new(format!("upstreams.{name}"), async move {
                backend(&patient, &name, &server).await
            }));
        }
    }
    looks
}

fn providers(patient: &Arc<Patient>) -> Vec<Look> {
    let delivery = &patient.config.delivery;
    let unobserved = Arc::new(|_, _| {});
    let providers = match Providers::new(delivery, unobserved) {
        Ok(providers) => Arc::new(providers),
        Err(error) => {
            let failed = Finding::fail("delivery", error.to_string());
            return vec![Look::new("delivery", async { failed })];
        }
    };
    let mut looks = Vec::new();
    for (at, provider) in delivery.sms.iter().enumerate() {
        let (name, providers) = (format!("delivery.sms[{at}]"), Arc::clone(&providers));
        let url = match provider {
            SmsProvider::Twilio(twilio) => twilio.url.clone(),
            SmsProvider::Http(http) => http.url.clone(),
        };
        looks.push(Look::new(name.clone(), async move {
            sms(name, host(&url), providers.reach_sms(at).await)
        }));
    }
    if let Some(smtp) = &delivery.email {
        let (server, login) = (format!("{}:{}", smtp.host, smtp.port), has_login(smtp));
        looks.push(Look::new("delivery.email", async move {
            mail(&server, login, providers.reach_mail().await)
        }));
    }
    looks
}

fn has_login(smtp: &Smtp) -> &'static str {
    match smtp.login {
        Some(_) => " and takes the sign-in",
        None => "",
    }
}

/// `https://host:port` of a URL, whose rest may hold a key.
fn host(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

fn sms(check: String, host: String, reached: Result<Answered, Unreached>) -> Found {
    match reached {
        Err(error) => {
            let mend = "codes are not sent; look at its url, the network and its status page";
            Finding::fail(check, format!("{host} cannot be reached ({error}): {mend}")).into()
        }
        Ok(answered) => {
            let finding = match answered.status {
                status @ 500.. => {
                    let detail = format!("{host} answers with status {status}: look at it");
                    Finding::warn(check, detail)
                }
                _ => Finding::ok(check, format!("{host} answers (no message was sent)")),
            };
            Found::answered(&answered, finding)
        }
    }
}

fn mail(server: &str, login: &str, reached: Result<(), Unreached>) -> Finding {
    const CHECK: &str = "delivery.email";
    match reached {
        Ok(()) => Finding::ok(CHECK, format!("{server} answers{login} (no mail was sent)")),
        Err(error) => {
            let mend = "codes are not mailed; look at `smtp`, `login` and the server";
            Finding::fail(CHECK, format!("{server}: {error}: {mend}"))
        }
    }
}

async fn issuer(patient: &Patient, name: &str) -> Found {
    let check = format!("identities.{name}");
    let Some(identity) = patient.config.identities.get(name) else {
        return Found::default();
    };
    match reach::issuer(name, identity).await {
        None => Found::default(),
        Some(Ok(answered)) => Found::answered(&answered, Finding::ok(check, "the issuer answers")),
        Some(Err(error)) => {
            let mend = "nobody new is let in with its tokens; look at its url and the network";
            Finding::fail(
                check,
                format!("the issuer cannot be asked ({error}): {mend}"),
            )
            .into()
        }
    }
}

async fn backend(patient: &Patient, name: &str, server: &str) -> Found {
    let check = format!("upstreams.{name}");
    match reach::server(&patient.config, name, server).await {
        Err(error) => {
            let mend = "start it, or correct `servers` and `tls`";
            Finding::fail(
                check,
                format!("{server} cannot be reached ({error}): {mend}"),
            )
            .into()
        }
        Ok(answered) => {
            let finding = match answered.status {
                status @ 500.. => {
                    let detail = format!("{server} answers with status {status}: look at its log");
                    Finding::warn(check, detail)
                }
                _ => Finding::ok(check, format!("{server} answers")),
            };
            Found::answered(&answered, finding)
        }
    }
}

/// Whether the collector of traces takes them, if there is to be one.
pub(super) fn collector(patient: &Arc<Patient>) -> Option<Look> {
    patient.config.traces.as_ref()?;
    let patient = Arc::clone(patient);
    Some(Look::new("traces", async move {
        let Some(traces) = &patient.config.traces else {
            return Found::default();
        };
        let host = host(&traces.url);
        match traces::reach(traces).await {
            Ok(()) => Finding::ok("traces", format!("{host} takes traces (none was sent)")),
            Err(error) => {
                let mend = "traces are lost; look at `otlp`, `headers` and the collector";
                Finding::warn("traces", format!("{host}: {error}: {mend}"))
            }
        }
        .into()
    }))
}

/// This machine's clock beside those that were seen: over TLS, where there are any.
pub(super) fn clock(seen: &[ClockSeen]) -> Finding {
    const CHECK: &str = "clock";
    let is_sure = seen.iter().any(|clock| clock.is_tls);
    let mut ahead: Vec<i64> = seen
        .iter()
        .filter(|clock| clock.is_tls || !is_sure)
        .map(|clock| clock.ahead_secs)
        .collect();
    ahead.sort_unstable();
    let Some(middle) = ahead.get(ahead.len() / 2) else {
        return match Path::new(TIMESYNC).exists() {
            true => Finding::ok(CHECK, "systemd-timesyncd keeps it"),
            false => Finding::warn(
                CHECK,
                "nobody was met whose clock it could be compared with: see that `timedatectl` says that it \
                 is synchronized",
            ),
        };
    };
    let off = middle.unsigned_abs();
    let side = if *middle > 0 { "behind" } else { "ahead of" };
    let mend = "codes of authenticator apps fail, and tokens end early or late; run an NTP client";
    match (off, is_sure) {
        (..=WARN_SECS, _) => Finding::ok(
            CHECK,
            format!("within {WARN_SECS} s of those that answered"),
        ),
        (FAIL_SECS.., true) => Finding::fail(
            CHECK,
            format!("it is {off} s {side} those of others: {mend}"),
        ),
        (_, true) => Finding::warn(
            CHECK,
            format!("it is {off} s {side} those of others: {mend}"),
        ),
        // A backend's clock may itself be the wrong one.
        (_, false) => Finding::warn(
            CHECK,
            format!(
                "it is {off} s {side} the backend's: one of them is wrong, and if it is this one, {mend}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn a_urls_secrets_are_not_shown() {
        for (url, shown) in [
            ("https://api.twilio.com", "https://api.twilio.com"),
            (
                "http://u:p@127.0.0.1:13013/send?password=x",
                "http://127.0.0.1:13013",
            ),
            ("https://sms.example?key=1", "https://sms.example"),
        ] {
            assert_eq!(host(url), shown);
        }
    }

    #[test]
    fn the_clock_is_compared_with_those_that_can_be_believed() {
        let seen = |ahead: &[(i64, bool)]| {
            let seen: Vec<ClockSeen> = ahead
                .iter()
                .map(|(ahead_secs, is_tls)| ClockSeen {
                    ahead_secs: *ahead_secs,
                    is_tls: *is_tls,
                })
                .collect();
            clock(&seen).verdict
        };
        assert_eq!(seen(&[(0, true)]), Verdict::Ok);
        assert_eq!(seen(&[(-5, false)]), Verdict::Ok);
        assert_eq!(seen(&[(6, true)]), Verdict::Warn);
        assert_eq!(seen(&[(-31, true)]), Verdict::Fail);
        assert_eq!(seen(&[(300, false)]), Verdict::Warn, "who knows");
        assert_eq!(seen(&[(300, false), (300, false), (1, true)]), Verdict::Ok);
        // One of three that is wrong does not matter.
        assert_eq!(seen(&[(900, true), (1, true), (0, true)]), Verdict::Ok);
        assert_ne!(seen(&[]), Verdict::Fail);
    }
}
