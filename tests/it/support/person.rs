//! A person with a browser, as far as pages can tell, without one: walks through Vestibule's own pages.

use super::{Gateway, Inbox, PASSWORD, PHONE, form_of, secret};
use reqwest::{Client, RequestBuilder, Response};

/// It keeps cookies, and says that it navigates.
pub(crate) struct Browser {
    http: Client,
    /// Where it goes, without a path.
    base: String,
    pub(crate) cookies: Vec<(String, String)>,
}

impl Browser {
    /// At the gateway itself.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self::at(&gateway.http, &gateway.url(""))
    }

    /// At whatever has this URL.
    pub(crate) fn at(http: &Client, base: &str) -> Self {
        Self {
            http: http.clone(),
            base: base.to_owned(),
            cookies: Vec::new(),
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let mut all = self.cookies.iter();
        let (_, value) = all.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// All of them, as a request has them.
    pub(crate) fn jar(&self) -> String {
        let jar = self.cookies.iter();
        let jar: Vec<_> = jar.map(|(name, value)| format!("{name}={value}")).collect();
        jar.join("; ")
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Response {
        let request = request
            .header("cookie", self.jar())
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", "same-origin");
        let answer = request.send().await.expect("answer");
        for line in answer.headers().get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let (pair, _) = line.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), secret(value)));
            }
        }
        answer
    }

    /// A path, or a URL of the same place.
    pub(crate) fn url(&self, address: &str) -> String {
        match address.strip_prefix(&self.base) {
            Some(path) => format!("{}{path}", self.base),
            None => {
                assert!(address.starts_with('/'), "it leads elsewhere: {address}");
                format!("{}{address}", self.base)
            }
        }
    }

    pub(crate) async fn get(&mut self, address: &str) -> Response {
        let request = self.http.get(self.url(address));
        self.send(request).await
    }

    /// Sends a form of the page at this address.
    pub(crate) async fn fill(&mut self, address: &str, fields: &[(&str, &str)]) -> Response {
        let page = self.get(address).await.text().await.expect("a page");
        let digest = form_of(&page);
        let mut all = vec![("form", digest.as_str())];
        all.extend(fields);
        let request = self.http.post(self.url(address)).form(&all);
        self.send(request).await
    }

    /// Signs in, passes the second factor, and goes where it leads.
    pub(crate) async fn comes_in(&mut self, inbox: &Inbox, sign_in: &str) -> Response {
        let fields = [("username", "anna"), ("password", PASSWORD)];
        let signed_in = self.fill(sign_in, &fields).await;
        let challenge = location(&signed_in);
        let fields = [("action", "send"), ("factor", "sms")];
        let sent = self.fill(&challenge, &fields).await;
        let page = location(&sent);
        let code = inbox.code_for(PHONE);
        let fields = [("action", "verify"), ("code", code.as_str())];
        let verified = self.fill(&page, &fields).await;
        self.get(&location(&verified)).await
    }
}

pub(crate) fn location(answer: &Response) -> String {
    assert_eq!(answer.status(), 303);
    let location = answer.headers()["location"].to_str();
    location.expect("text").to_owned()
}
