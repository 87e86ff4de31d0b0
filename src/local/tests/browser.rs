//! A browser: it keeps its cookies, and sends forms as the page that was shown to it does.

use super::{Answer, Call, Site};
use crate::auth::fixture::REALM;
use crate::config::model::Requirement;
use crate::gate::{Decision, Presented, Question};
use http::Method;

pub(super) const DEVICE: &str = "__Host-vestibule_device";
pub(super) const TOKEN: &str = "__Host-vestibule_token";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

#[derive(Clone)]
pub(super) struct Browser<'s> {
    pub(super) site: &'s Site,
    pub(super) device: Option<String>,
    pub(super) token: Option<String>,
    /// The cookie that its token is in.
    token_cookie: &'static str,
    pub(super) agent: &'static str,
}

impl<'s> Browser<'s> {
    /// A new one.
    pub(super) fn new(site: &'s Site) -> Self {
        Self {
            site,
            device: None,
            token: None,
            token_cookie: TOKEN,
            agent: FIREFOX,
        }
    }

    /// One with a token of the backend's own, that has been here under this device's name.
    pub(super) fn of(site: &'s Site, token: &str, device: &str) -> Self {
        Self {
            device: Some(device.to_owned()),
            token: Some(token.to_owned()),
            token_cookie: "IOGATES",
            ..Self::new(site)
        }
    }

    pub(super) fn call(&self, method: Method, target: &str) -> Call {
        let call = self.site.call(method, target);
        let call = call.header("user-agent", self.agent);
        let cookies: Vec<_> = [(self.token_cookie, &self.token), (DEVICE, &self.device)]
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
            .collect();
        match cookies.is_empty() {
            true => call,
            false => call.header("cookie", &cookies.join("; ")),
        }
    }

    async fn send(&mut self, call: Call) -> Answer {
        let answer = self.site.answer(call).await;
        for (name, kept) in [(DEVICE, &mut self.device), (TOKEN, &mut self.token)] {
            if let Some(value) = answer.cookie(name) {
                *kept = Some(value.to_owned());
            }
        }
        answer
    }

    pub(super) async fn get(&mut self, target: &str) -> Answer {
        self.send(self.call(Method::GET, target)).await
    }

    /// A form of the page that was shown to it.
    pub(super) fn form(&self, target: &str, form: &str) -> Call {
        let call = self.call(Method::POST, target);
        self.site.filled_in(call, self.device(), form)
    }

    pub(super) async fn post(&mut self, target: &str, form: &str) -> Answer {
        self.send(self.form(target, form)).await
    }

    /// What its device's cookie says.
    pub(super) fn device(&self) -> &str {
        self.device.as_deref().unwrap_or_default()
    }

    /// Whether the gate lets its pair in.
    pub(super) async fn is_open(&self) -> bool {
        let token = self.token.as_deref().unwrap_or_default();
        self.site.is_open(token, self.device.as_deref()).await
    }

    /// Holds that an answer leads to this address.
    #[track_caller]
    pub(super) fn is_led(answer: &Answer, to: &str) {
        assert_eq!(answer.status(), 303, "{}", answer.text());
        assert_eq!(answer.header("location"), Some(to));
    }
}

impl Site {
    /// A form as the page that was shown to this device sends it.
    pub(super) fn filled_in(&self, call: Call, device: &str, form: &str) -> Call {
        let digest = self.world().auth.keys.form(device).text();
        call.header("origin", "https://files.example.org")
            .header("sec-fetch-site", "same-origin")
            .form(&format!("{form}&form={digest}"))
    }

    /// Whether the gate lets a pair in to where a second factor is asked for.
    pub(super) async fn is_open(&self, token: &str, device: Option<&str>) -> bool {
        self.is_open_at("/dir/a", token, device).await
    }

    pub(super) async fn is_open_at(&self, path: &str, token: &str, device: Option<&str>) -> bool {
        let question = Question {
            realm: REALM,
            keys: &self.route.keys,
            demand: Requirement::TWO_FACTOR.into(),
            presented: Some(Presented { token, device }),
            success_token: None,
            path,
            destination: None,
            is_background: false,
        };
        matches!(self.local.gate.admit(&question).await, Decision::Permit(_))
    }
}
