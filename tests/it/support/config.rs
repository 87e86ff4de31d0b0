//! Config files for tests: small, written out in full, changed by replacing text.

use std::net::SocketAddr;

/// What a gateway is started with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) yaml: String,
}

/// The store key of every test.
pub(crate) const STORE_KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

impl Setup {
    /// A backend without accounts: users and share links are Vestibule's own.
    pub(crate) fn accounts(origin: SocketAddr, sms: SocketAddr) -> Self {
        Self::new(origin, sms, "{accounts: {}}")
    }

    /// A backend with accounts, whose sign-in is watched.
    pub(crate) fn learn(origin: SocketAddr, sms: SocketAddr) -> Self {
        Self::new(
            origin,
            sms,
            "{learn: {endpoint: /api/authtoken, token: /token, user: /profile/username, \
             phone: /profile/mobile, email: /profile/email, probe: /api/profile}}",
        )
    }

    fn new(origin: SocketAddr, sms: SocketAddr, identity: &str) -> Self {
        let yaml = format!(
            r#"listeners:
  - address: 127.0.0.1:0
timeouts: {{head: 10s, body: 60s, keepalive: 75s}}
admin: {{address: "127.0.0.1:0", socket: admin/admin.sock}}
log: {{json: false, level: trace}}
store: {{url: "sqlite:vestibule.db", key: {{file: store.key}}}}
codes: {{resend_after: 0s}}
limits: {{per_user_per_hour: 1000, per_number_per_hour: 1000, per_gateway_per_minute: 10000, per_prefix_per_minute: 10000}}
delivery:
  sms:
    - http: {{url: "http://{sms}/send", method: GET, query: {{to: "{{phone}}", text: "{{text}}"}}}}
identities:
  users: {identity}
upstreams:
  files: {{servers: ["{origin}"]}}
routes:
  - name: files
    hosts: ["*"]
    upstream: files
    identity: users
    credentials: [bearer, {{cookie: IOGATES}}, {{query: token}}, {{path: "/share/{{token}}"}}]
    dialects: [iogates]
    rules:
      - {{paths: [/public/], require: none}}
      - {{paths: [/half/], require: token}}
      - {{paths: [/closed/], require: deny}}
    require: two_factor
    phone_region: DK
"#
        );
        Self { yaml }
    }

    /// The same on a route that remembers browsers.
    pub(crate) fn remembering(self) -> Self {
        self.with(
            "require: two_factor",
            "require: two_factor\n    remember: 30d",
        )
    }

    /// The same with `from` replaced by `to`; `from` must be there.
    pub(crate) fn with(mut self, from: &str, to: &str) -> Self {
        assert!(
            self.yaml.contains(from),
            "the test's config has no `{from}`"
        );
        self.yaml = self.yaml.replace(from, to);
        self
    }
}
