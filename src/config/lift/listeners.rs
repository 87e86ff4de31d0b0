//! Addresses, TLS towards clients, and the proxies in front.

use super::Lift;
use crate::config::model::{Admin, Certificate, Listener, Tls};
use crate::config::raw;
use crate::config::tree::At;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

impl Lift<'_> {
    pub(super) fn listeners(
        &mut self,
        raw: Option<&[raw::Listener]>,
        at: At<'_>,
    ) -> Option<Vec<Listener>> {
        let mend = "write at least one, like `- address: 127.0.0.1:8080`";
        let raw = self.filled(raw, at, mend)?;
        let lifted: Vec<_> = raw
            .iter()
            .enumerate()
            .map(|(index, listener)| self.listener(listener, at.index(index)))
            .collect();
        lifted.into_iter().collect()
    }

    fn listener(&mut self, raw: &raw::Listener, at: At<'_>) -> Option<Listener> {
        let at_address = at.key("address");
        let mend = "write an IP address and a port, like 127.0.0.1:8080";
        let text = self.required(raw.address.as_ref(), at_address, mend);
        let address = text.and_then(|text| self.address(text, at_address));
        let tls = raw.tls.as_ref().map(|tls| self.tls(tls, at.key("tls")));
        let has_no_tls = tls.is_none() && !self.is_pruned(at.key("tls"));
        if has_no_tls && address.is_some_and(|address| !address.ip().is_loopback()) {
            self.warn(
                at_address,
                "tokens and codes cross the network in the clear here: add `tls`, \
                 or listen on 127.0.0.1 behind a proxy that has it",
            );
        }
        Some(Listener {
            address: address?,
            tls: match tls {
                Some(tls) => Some(tls?),
                None => None,
            },
            forward_auth: raw.forward_auth,
        })
    }

    fn address(&mut self, text: &str, at: At<'_>) -> Option<SocketAddr> {
        let parsed = text.parse().map_err(|_| {
            let mend = text
                .strip_prefix(':')
                .and_then(|port| port.parse::<u16>().ok())
                .map_or("127.0.0.1:8080 or \"[::]:8443\"".to_owned(), |port| {
                    format!("0.0.0.0:{port}")
                });
            format!("{text:?} is not an IP address and a port: write it like {mend}")
        });
        self.checked(parsed, at)
    }

    fn tls(&mut self, raw: &raw::Tls, at: At<'_>) -> Option<Tls> {
        let at = at.key("certificates");
        let mend = "write at least one, like `- {cert: files.pem, key: files.key}`";
        let raw = self.filled(raw.certificates.as_deref(), at, mend)?;
        let lifted: Vec<_> = raw
            .iter()
            .enumerate()
            .map(|(index, certificate)| self.certificate(certificate, at.index(index)))
            .collect();
        let certificates = lifted.into_iter().collect::<Option<_>>()?;
        Some(Tls { certificates })
    }

    fn certificate(&mut self, raw: &raw::Certificate, at: At<'_>) -> Option<Certificate> {
        let (at_cert, at_key) = (at.key("cert"), at.key("key"));
        let cert = self.required(
            raw.cert.as_ref(),
            at_cert,
            "name the PEM file of the certificate",
        );
        let cert = cert.and_then(|path| self.content(path, at_cert));
        let key = self.required(
            raw.key.as_ref(),
            at_key,
            "name the PEM file of the private key",
        );
        let key = key.and_then(|path| self.secret_content(path, at_key));
        // The contents are the edge's to read: only that they can be read is settled here.
        Some(Certificate {
            cert: cert?.0,
            key: key?.0,
        })
    }

    pub(super) fn admin(&mut self, raw: &raw::Admin, at: At<'_>) -> Option<Admin> {
        let at_address = at.key("address");
        let address = raw.address.as_ref();
        let address = address.map(|text| self.address(text, at_address));
        if let Some(Some(address)) = address
            && !address.ip().is_loopback()
        {
            self.warn(
                at_address,
                "whoever reaches this address can read the metrics: better 127.0.0.1 or a private network",
            );
        }
        let socket = raw.socket.as_ref();
        let socket = socket.map(|path| self.path(path, at.key("socket")));
        Some(Admin {
            address: match address {
                Some(address) => Some(address?),
                None => None,
            },
            socket: match socket {
                Some(socket) => Some(socket?),
                None => None,
            },
        })
    }

    /// Two listeners on one port, the admin's among them.
    pub(super) fn port_clashes(&mut self, raw: &raw::Config) {
        let root = At::Root;
        let (at_listeners, at_admin) = (root.key("listeners"), root.key("admin"));
        let listeners = raw.listeners.as_deref().unwrap_or_default();
        let mut seen: Vec<(SocketAddr, usize)> = Vec::new();
        for (index, listener) in listeners.iter().enumerate() {
            let at = at_listeners.index(index);
            self.port_clash(listener.address.as_deref(), at.key("address"), &mut seen);
        }
        self.port_clash(
            raw.admin.address.as_deref(),
            at_admin.key("address"),
            &mut seen,
        );
    }

    /// What a listener that other proxies ask needs beside it.
    pub(super) fn forward_auth(&mut self, raw: &raw::Config) {
        let root = At::Root;
        let at_listeners = root.key("listeners");
        let listeners = raw.listeners.as_deref().unwrap_or_default();
        let mut all = listeners.iter();
        let Some(index) = all.position(|listener| listener.forward_auth) else {
            return;
        };
        if raw.trusted_proxies.is_empty() {
            let at = at_listeners.index(index);
            let text = "nobody may ask here: name the proxies that do in `trusted_proxies`";
            self.error(at.key("forward_auth"), text);
        }
        if listeners.iter().all(|listener| listener.forward_auth) {
            let text = "add one without `forward_auth`: people need a place to sign in and to pass the second factor";
            self.error(at_listeners, text);
        }
        let at_identities = root.key("identities");
        for (name, identity) in raw.identities.iter().flatten() {
            if identity.learn.is_some() {
                let at = at_identities.key(name);
                let text = "a sign-in that another proxy forwards after asking (`forward_auth`) is not seen, and refused: \
                            have it send this path to Vestibule";
                self.warn(at.key("learn").key("endpoint"), text);
            }
        }
    }

    fn port_clash(&mut self, text: Option<&str>, at: At<'_>, seen: &mut Vec<(SocketAddr, usize)>) {
        let Some(Ok(address)) = text.map(str::parse::<SocketAddr>) else {
            return;
        };
        let clash = seen.iter().find(|(other, _)| clashes(*other, address));
        if let Some((other, line)) = clash {
            let text = format!("{address} clashes with {other} (line {line}): take another port");
            self.error(at, text);
        }
        let line = self.line(at);
        seen.push((address, line));
    }

    pub(super) fn trusted_proxies(&mut self, raw: &[String], at: At<'_>) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for (index, text) in raw.iter().enumerate() {
            let at = at.index(index);
            let parsed = text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            let parsed = parsed.map_err(|_| {
                format!("{text:?} is not a network: write it like 10.0.0.0/8 or 127.0.0.1")
            });
            let Some(network) = self.checked(parsed, at) else {
                continue;
            };
            if network.prefix_len() == 0 {
                self.warn(
                    at,
                    "every client is believed to be any other (X-Forwarded-For): name your proxies alone",
                );
            }
            networks.push(network);
        }
        networks
    }
}

/// Whether both cannot be bound at once. (Whether `[::]` takes IPv4 too is the kernel's to say.)
fn clashes(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap = a.ip() == b.ip()
        || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() != 0 && a.port() == b.port() && overlap
}
