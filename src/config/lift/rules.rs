//! The rules of a route's policy: what matches, and what is asked then.

use super::Lift;
use super::syntax;
use crate::config::model::{People, Requirement, Rule, is_group};
use crate::config::raw;
use crate::config::tree::At;
use crate::config::values::{Credential, Period};
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The names of the users whom share links make begin with it.
const SHARE_USER_PREFIX: &str = "share:";

/// How recent a second factor must be, as a rule or a route writes it.
type Freshness<'r> = (Option<Period>, Option<Period>, Option<&'r String>);

impl Lift<'_> {
    pub(super) fn rules(&mut self, raw: &[raw::Rule], at: At<'_>) -> Option<Vec<Rule>> {
        let mut rules: Vec<Option<Rule>> = Vec::new();
        for (index, rule) in raw.iter().enumerate() {
            let at_rule = at.index(index);
            let rule = self.rule(rule, at_rule);
            if let Some(rule) = &rule {
                self.warn_of_earlier(rules.iter().flatten(), rule, at_rule);
            }
            rules.push(rule);
        }
        rules.into_iter().collect()
    }

    /// Says what an earlier rule makes of this one.
    fn warn_of_earlier<'r>(
        &mut self,
        mut earlier: impl Iterator<Item = &'r Rule> + Clone,
        rule: &Rule,
        at: At<'_>,
    ) {
        if let Some(first) = earlier.clone().find(|earlier| covers(earlier, rule)) {
            let line = first.line;
            let text = format!("is never reached: the rule in line {line} matches all of it");
            self.warn(at, text);
        } else if rule.require == Requirement::Nothing
            && let Some(first) = earlier.find(|it| it.people != People::All && overlaps(it, rule))
        {
            let line = first.line;
            let text = format!(
                "opens nothing to whoever has no token: to know whether the rule in line {line} is for them, \
                 one is asked for. Put this one before it"
            );
            self.warn(at, text);
        }
    }

    fn rule(&mut self, raw: &raw::Rule, at: At<'_>) -> Option<Rule> {
        let at_methods = at.key("methods");
        let methods = self.each(raw.methods.as_deref(), at_methods, |lift, text, at| {
            lift.checked(syntax::method(text), at)
        });
        let at_paths = at.key("paths");
        let paths = self.each(raw.paths.as_deref(), at_paths, Self::rule_path);
        let at_networks = at.key("networks");
        let networks = self.each(raw.networks.as_deref(), at_networks, Self::network);
        let people = self.people(raw, at);
        let at_require = at.key("require");
        let mend = "write none, token, two_factor, success_token or deny";
        let require = self.required(raw.require.as_ref(), at_require, mend);
        let freshness = (raw.within, raw.max_idle, raw.assurance.as_ref());
        let require = require.and_then(|require| self.requirement(*require, freshness, at));
        let (people, require) = (people?, require?);
        if people != People::All && require == Requirement::Nothing {
            let text = "cannot be for some alone: a token tells who asks. Write `token`, or leave \
                        `users` and `groups` out";
            self.error(at_require, text);
            return None;
        }
        Some(Rule {
            methods: methods?,
            paths: paths?,
            networks: networks?,
            people,
            require,
            line: self.line(at),
        })
    }

    /// Every item of a list that may be left out (it then matches everything), but not left empty.
    pub(super) fn each<T>(
        &mut self,
        raw: Option<&[String]>,
        at: At<'_>,
        mut lift: impl FnMut(&mut Self, &str, At<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let raw = match raw {
            Some([]) if self.is_incomplete(at) => return None,
            Some([]) => {
                let text = "is empty: write what the rule matches, or remove the key to match all";
                self.error(at, text);
                return None;
            }
            raw => raw.unwrap_or_default(),
        };
        let mut lifted = Vec::new();
        for (index, text) in raw.iter().enumerate() {
            lifted.push(lift(self, text, at.index(index)));
        }
        lifted.into_iter().collect()
    }

    pub(super) fn rule_path(&mut self, text: &str, at: At<'_>) -> Option<String> {
        if text.contains('*') {
            self.error(
                at,
                format!("{text:?}: `*` is no wildcard here: a path that ends in / matches everything below it"),
            );
            return None;
        }
        self.checked(syntax::path(text), at)?;
        Some(text.to_owned())
    }

    fn network(&mut self, text: &str, at: At<'_>) -> Option<IpNet> {
        let Some(network) = read_network(text) else {
            let text = format!("{text:?} is not a network: write it like 10.0.0.0/8 or fd00::/8");
            self.error(at, text);
            return None;
        };
        let whole = network.trunc();
        if whole.addr() != network.addr() {
            let address = network.addr();
            let text = format!(
                "{text:?} is an address within a network: write {whole}, or {address} alone"
            );
            self.error(at, text);
            return None;
        }
        Some(unmapped(whole))
    }

    fn people(&mut self, raw: &raw::Rule, at: At<'_>) -> Option<People> {
        let (at_users, at_groups) = (at.key("users"), at.key("groups"));
        let users = self.each(raw.users.as_deref(), at_users, Self::user_name)?;
        let groups = self.each(raw.groups.as_deref(), at_groups, Self::group_name)?;
        match (users.is_empty(), groups.is_empty()) {
            (true, true) => Some(People::All),
            (false, true) => Some(People::Users(users)),
            (true, false) => Some(People::Groups(groups)),
            (false, false) => {
                let text =
                    "stands beside `groups`, and could mean either or both: write a rule for each";
                self.error(at_users, text);
                None
            }
        }
    }

    fn user_name(&mut self, text: &str, at: At<'_>) -> Option<String> {
        if text.starts_with(SHARE_USER_PREFIX) {
            let text = format!(
                "{text:?} stands for whoever has a share link: write a rule for its `paths`"
            );
            self.error(at, text);
            return None;
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            self.error(at, format!("{text:?} is not a user's name"));
            return None;
        }
        Some(text.to_owned())
    }

    fn group_name(&mut self, text: &str, at: At<'_>) -> Option<String> {
        if !is_group(text) {
            let text = format!(
                "{text:?} is not a group's name: write 1 to 256 bytes, without spaces around them"
            );
            self.error(at, text);
            return None;
        }
        Some(text.to_owned())
    }

    /// What is asked, by a rule or by the route itself.
    pub(super) fn requirement(
        &mut self,
        raw: raw::Require,
        freshness: Freshness<'_>,
        at: At<'_>,
    ) -> Option<Requirement> {
        let (within, max_idle, assurance) = freshness;
        let given = [
            (within.is_some(), "within"),
            (max_idle.is_some(), "max_idle"),
            (assurance.is_some(), "assurance"),
        ];
        if raw == raw::Require::TwoFactor {
            let (most_age, most_idle) = match assurance {
                Some(level) => self.assurance(level, at.key("assurance"))?,
                None => (None, None),
            };
            return Some(Requirement::TwoFactor {
                within: self.bound(within, most_age, at.key("within"))?,
                max_idle: self.bound(max_idle, most_idle, at.key("max_idle"))?,
            });
        }
        for (_, key) in given.iter().filter(|(is_given, _)| *is_given) {
            self.error(at.key(key), "goes with `require: two_factor` only");
        }
        let is_fine = given.iter().all(|(is_given, _)| !is_given);
        is_fine.then_some(match raw {
            raw::Require::None => Requirement::Nothing,
            raw::Require::Token => Requirement::Token,
            raw::Require::TwoFactor => Requirement::TWO_FACTOR,
            raw::Require::SuccessToken => Requirement::SuccessToken,
            raw::Require::Deny => Requirement::Deny,
        })
    }

    /// The overall and the inactivity timeout of an assurance level (NIST SP 800-63B-4, sections 2.1.3 and
    /// 2.2.3).
    fn assurance(
        &mut self,
        level: &str,
        at: At<'_>,
    ) -> Option<(Option<Duration>, Option<Duration>)> {
        match level {
            "aal1" => Some((Some(30 * DAY), None)),
            "aal2" => Some((Some(DAY), Some(HOUR))),
            "aal3" => {
                let text = "aal3 asks for a key in hardware, which nobody proves here: write aal2, or \
                            `within: 12h, max_idle: 15m` for its times alone";
                self.error(at, text);
                None
            }
            other => {
                self.error(
                    at,
                    format!("{other:?} is not an assurance level: write aal1 or aal2"),
                );
                None
            }
        }
    }

    /// The shorter one of what is written and what the level allows at most, which is an error beyond it.
    fn bound(
        &mut self,
        written: Option<Period>,
        most: Option<Duration>,
        at: At<'_>,
    ) -> Option<Option<Duration>> {
        let Some(written) = written else {
            return Some(most);
        };
        let written = self.period(written, at);
        match most.filter(|most| written > *most) {
            Some(most) => {
                let text = format!(
                    "is longer than the {} that `assurance` allows: write a shorter one, or none",
                    Period(most)
                );
                self.error(at, text);
                None
            }
            None => Some(Some(written)),
        }
    }

    /// What is unwise in rules, given the rest of the file.
    pub(super) fn warn_of_rules(&mut self, raw: &raw::Config, route: &raw::Route, at: At<'_>) {
        let at_rules = at.key("rules");
        let for_people = |rule: &raw::Rule| rule.users.is_some() || rule.groups.is_some();
        let first = route.rules.iter().position(for_people);
        if let Some(first) = first {
            let line = self.line(at_rules.index(first));
            if route.require == raw::Require::None {
                let text = format!(
                    "does not open what the rule in line {line} could be about: to know whom it is for, a \
                     token is asked for"
                );
                self.warn(at.key("require"), text);
            }
            self.warn_of_typed_names(raw, route, at_rules.index(first));
        }
        for (index, rule) in route.rules.iter().enumerate() {
            self.warn_of_proxies(raw, rule, at_rules.index(index).key("networks"));
        }
        let is_aal2 = |level: Option<&String>| level.is_some_and(|level| level == "aal2");
        let has_mail = raw.delivery.email.is_some();
        let text = "a code by mail is no authenticator of this level (NIST SP 800-63B-4, section 3.1.3.1), \
                    and passes here all the same: the level's times alone are kept";
        if has_mail && is_aal2(route.assurance.as_ref()) {
            self.warn(at.key("assurance"), text);
        }
        for (index, rule) in route.rules.iter().enumerate() {
            if has_mail && is_aal2(rule.assurance.as_ref()) {
                self.warn(at_rules.index(index).key("assurance"), text);
            }
        }
    }

    /// Who may say where a client is, can say that it is in such a network; and whoever is where the trusted
    /// ones are, can. So could a client in a trusted network, of itself.
    fn warn_of_proxies(&mut self, raw: &raw::Config, rule: &raw::Rule, at: At<'_>) {
        let read = |text: &str| read_network(text).map(unmapped);
        let trusted = || raw.trusted_proxies.iter();
        let is_wide =
            |proxy: &&String| read(proxy).is_some_and(|it| it.prefix_len() < it.max_prefix_len());
        for (index, text) in rule.networks.iter().flatten().enumerate() {
            let meets = |proxy: &&String| {
                let both = read(text).zip(read(proxy));
                both.is_some_and(|(one, other)| one.contains(&other) || other.contains(&one))
            };
            let text = match (trusted().find(meets), trusted().find(is_wide)) {
                (Some(proxy), _) => format!(
                    "meets {proxy} of `trusted_proxies`: whoever is there can say of any client that it is \
                     here. Trust the addresses of your proxies alone, and have the network without them"
                ),
                (None, Some(proxy)) => format!(
                    "whoever is in {proxy} of `trusted_proxies` can say that they are here: trust the \
                     addresses of your proxies alone"
                ),
                (None, None) => continue,
            };
            self.warn(at.index(index), text);
        }
    }

    /// A backend may take several spellings of one name, and need not say whose a password was.
    fn warn_of_typed_names(&mut self, raw: &raw::Config, route: &raw::Route, at: At<'_>) {
        let takes_passwords =
            (route.credentials.iter()).any(|one| matches!(one, Credential::Basic));
        let identities = raw.identities.as_ref().zip(route.identity.as_ref());
        let identity = identities.and_then(|(all, name)| all.get(name));
        if takes_passwords && identity.is_some_and(|identity| identity.learn.is_some()) {
            let text = "with `basic`, a user's name is what the answer to `probe` says: where it says none, it \
                        is what was typed, and nothing is known of groups. Have `probe` answer with the profile";
            self.warn(at, text);
        }
    }
}

/// A network, or one address.
fn read_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse::<IpNet>().ok().or_else(address)
}

/// A network of IPv4 addresses in IPv6's clothes, as what it is: addresses are compared bare.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else {
        return network;
    };
    let four = six.addr().to_ipv4_mapped();
    let len = six.prefix_len().checked_sub(96);
    let bare = four
        .zip(len)
        .and_then(|(four, len)| Ipv4Net::new(four, len).ok());
    bare.map_or(network, IpNet::V4)
}

/// Whether `earlier` matches all that `later` matches.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let methods = earlier.methods.is_empty()
        || (!later.methods.is_empty()
            && later
                .methods
                .iter()
                .all(|method| earlier.methods.contains(method)));
    let is_covered = |path: &String| earlier.paths.iter().any(|wanted| holds(wanted, path));
    let paths =
        earlier.paths.is_empty() || (!later.paths.is_empty() && later.paths.iter().all(is_covered));
    let is_within = |network: &IpNet| earlier.networks.iter().any(|wide| wide.contains(network));
    let networks = earlier.networks.is_empty()
        || (!later.networks.is_empty() && later.networks.iter().all(is_within));
    methods && paths && networks && are_among(&later.people, &earlier.people)
}

fn are_among(people: &People, among: &People) -> bool {
    match (people, among) {
        (_, People::All) => true,
        (People::Users(some), People::Users(all)) | (People::Groups(some), People::Groups(all)) => {
            some.iter().all(|name| all.contains(name))
        }
        _ => false,
    }
}

/// Whether both could match one request, whoever sends it from wherever.
fn overlaps(a: &Rule, b: &Rule) -> bool {
    let methods = a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method));
    let meet = |one: &String| b.paths.iter().any(|it| holds(it, one) || holds(one, it));
    let paths = a.paths.is_empty() || b.paths.is_empty() || a.paths.iter().any(meet);
    methods && paths
}

/// Whether a rule's path matches all that another one matches.
fn holds(wanted: &str, path: &str) -> bool {
    wanted == path
        || (wanted.ends_with('/')
            && (path.starts_with(wanted) || wanted.strip_suffix('/') == Some(path)))
}
