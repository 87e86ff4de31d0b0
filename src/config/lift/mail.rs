//! The mail server: where it is, when TLS starts, and who signs in.

use super::{Lift, syntax};
use crate::config::model::{Login, Sender, Smtp, SmtpTls};
use crate::config::raw;
use crate::config::tree::At;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::net::IpAddr;

/// Octets of an address, and of its part before `@` (RFC 5321 section 4.5.3.1).
const ADDRESS_BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;

impl Lift<'_> {
    pub(super) fn email(&mut self, raw: &raw::Email, at: At<'_>) -> Option<Smtp> {
        let at_smtp = at.key("smtp");
        let mend = "write the server, like smtps://mail.example.org";
        let smtp = self.required(raw.smtp.as_ref(), at_smtp, mend);
        let server = smtp.and_then(|smtp| self.checked(server(smtp), at_smtp));
        let at_from = at.key("from");
        let mend = "write the sender, like \"Files <no-reply@example.org>\"";
        let from = self.required(raw.from.as_ref(), at_from, mend);
        let from = from.and_then(|from| self.checked(sender(from), at_from));
        let login = self.login(raw, at);
        let timeout = self.period(raw.timeout, at.key("timeout"));
        let ca = self.ca(raw.ca.as_deref(), server.as_ref(), at.key("ca"));
        let (host, port, tls) = server?;
        Some(Smtp {
            host,
            port,
            tls,
            from: from?,
            login: login?,
            timeout,
            ca: ca?,
        })
    }

    /// `Some(None)`: nobody signs in.
    fn login(&mut self, raw: &raw::Email, at: At<'_>) -> Option<Option<Login>> {
        let (at_username, at_password) = (at.key("username"), at.key("password"));
        let is_anonymous = raw.username.is_none()
            && raw.password.is_none()
            && !self.is_pruned(at_username)
            && !self.is_pruned(at_password);
        if is_anonymous {
            return Some(None);
        }
        let mend = "write it, or remove `password` where nobody signs in";
        let username = self.required(raw.username.as_ref(), at_username, mend);
        let username = username.filter(|name| {
            let is_name = !name.is_empty() && !name.contains(char::is_control);
            if !is_name {
                self.error(at_username, "is not a name that a server could know");
            }
            is_name
        });
        let mend = "write {file: PATH}, or remove `username` where nobody signs in";
        let password = self.required(raw.password.as_ref(), at_password, mend);
        let password = password.and_then(|password| {
            self.warn_of_plain(password, at_password);
            self.secret(password, at_password)
        });
        Some(Some(Login {
            username: username?.clone(),
            password: password?,
        }))
    }

    /// The certificates of a PEM file, if one is named.
    fn ca(
        &mut self,
        path: Option<&str>,
        server: Option<&(String, u16, SmtpTls)>,
        at: At<'_>,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let Some(path) = path else {
            return Some(Vec::new());
        };
        if matches!(server, Some((_, _, SmtpTls::IfOffered))) {
            let text = "has no effect: on this machine itself no certificate is asked for; \
                        write smtp+starttls:// or smtps:// above, or remove it";
            self.error(at, text);
            return None;
        }
        let (path, content) = self.content(path, at)?;
        let read = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>();
        let mut roots = RootCertStore::empty();
        let certificates = read.ok().filter(|certificates| {
            let can_vouch = |it: &CertificateDer<'static>| roots.add(it.clone()).is_ok();
            !certificates.is_empty() && certificates.iter().all(can_vouch)
        });
        if certificates.is_none() {
            let path = path.display();
            self.error(at, format!("{path} is not a PEM file of certificates"));
        }
        certificates
    }
}

/// The host without brackets, the port and the TLS of a mail server's URL. A text that may hold a
/// password is not quoted.
fn server(text: &str) -> Result<(String, u16, SmtpTls), String> {
    if text.contains('@') {
        return Err(
            "the URL has an `@`: write the name and password beside it, as `username` and `password`"
                .to_owned(),
        );
    }
    let wrong = || format!("{text:?} is not a mail server, like smtps://mail.example.org");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let (default_port, tls) = match scheme {
        "smtps" => (465, SmtpTls::Implicit),
        "smtp+starttls" => (587, SmtpTls::StartTls),
        "smtp" => (25, SmtpTls::StartTls),
        _ => {
            return Err(format!(
                "{text:?}: a mail server starts with smtps://, smtp+starttls:// or smtp://"
            ));
        }
    };
    if rest.contains(['/', '?', '#']) {
        return Err(format!(
            "{text:?}: write nothing after the host and its port"
        ));
    }
    let after_host = rest.rsplit_once(']').map_or(rest, |(_, after)| after);
    let (host, port) = if after_host.contains(':') {
        syntax::server(rest)
    } else {
        syntax::server(&format!("{rest}:{default_port}"))
    }
    .map_err(|_| wrong())?;
    let host = host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>();
    let is_local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    let tls = match scheme {
        "smtp" if is_local => SmtpTls::IfOffered,
        _ => tls,
    };
    Ok((host, port, tls))
}

/// `Name <address>`, or an address alone.
fn sender(text: &str) -> Result<Sender, String> {
    let wrong = || format!("{text:?} is not a sender, like \"Files <no-reply@example.org>\"");
    let (name, address) = match text.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<').ok_or_else(wrong)?,
        None => ("", text),
    };
    let name = name.trim();
    let is_name = !name.contains(|c: char| c.is_control() || "<>\"\\".contains(c));
    if !is_name || !is_address(address) {
        return Err(wrong());
    }
    Ok(Sender {
        name: (!name.is_empty()).then(|| name.to_owned()),
        address: address.to_owned(),
    })
}

/// A dot-string, `@` and a host name (RFC 5321 section 4.1.2).
fn is_address(text: &str) -> bool {
    let is_atom = |atom: &str| {
        let is_of_it = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
        !atom.is_empty() && atom.bytes().all(is_of_it)
    };
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    text.len() <= ADDRESS_BYTES_MAX
        && local.len() <= LOCAL_BYTES_MAX
        && local.split('.').all(is_atom)
        && syntax::is_host_name(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_its_port_and_its_tls() {
        for (text, host, port, tls) in [
            (
                "smtps://Mail.example.org",
                "mail.example.org",
                465,
                SmtpTls::Implicit,
            ),
            (
                "smtps://127.0.0.1:1465",
                "127.0.0.1",
                1465,
                SmtpTls::Implicit,
            ),
            (
                "smtp+starttls://mail.example.org",
                "mail.example.org",
                587,
                SmtpTls::StartTls,
            ),
            ("smtp+starttls://[::1]", "::1", 587, SmtpTls::StartTls),
            (
                "smtp://mail.example.org",
                "mail.example.org",
                25,
                SmtpTls::StartTls,
            ),
            ("smtp://10.0.0.5:587", "10.0.0.5", 587, SmtpTls::StartTls),
            (
                "smtp://[2001:db8::1]:26",
                "2001:db8::1",
                26,
                SmtpTls::StartTls,
            ),
            // Not this machine, whatever they sound like.
            (
                "smtp://localhost.example.org",
                "localhost.example.org",
                25,
                SmtpTls::StartTls,
            ),
            ("smtp://0.0.0.0", "0.0.0.0", 25, SmtpTls::StartTls),
            ("smtp://localhost", "localhost", 25, SmtpTls::IfOffered),
            (
                "smtp://127.8.8.8:2525",
                "127.8.8.8",
                2525,
                SmtpTls::IfOffered,
            ),
            ("smtp://[::1]", "::1", 25, SmtpTls::IfOffered),
        ] {
            assert_eq!(server(text), Ok((host.to_owned(), port, tls)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_servers_and_no_password_is_quoted() {
        for (text, mend) in [
            ("", "like smtps://"),
            ("mail.example.org", "like smtps://"),
            ("mail.example.org:25", "like smtps://"),
            ("smtps:mail.example.org", "like smtps://"),
            ("smtps://", "like smtps://"),
            ("smtps://:465", "like smtps://"),
            ("smtps://a:0", "like smtps://"),
            ("smtps://a:99999", "like smtps://"),
            ("smtps://a:+25", "like smtps://"),
            ("smtps://a b", "like smtps://"),
            ("smtps://::1", "like smtps://"),
            ("smtps://[::1", "like smtps://"),
            ("smtps://a\r\nQUIT", "like smtps://"),
            ("http://mail.example.org", "starts with smtps://"),
            ("SMTP://mail.example.org", "starts with smtps://"),
            ("smtps://mail.example.org/", "nothing after"),
            ("smtps://mail.example.org?tls=no", "nothing after"),
            (
                "smtps://user:hunter2@mail.example.org",
                "`username` and `password`",
            ),
        ] {
            let error = server(text).unwrap_err();
            assert!(error.contains(mend), "{text:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn senders_have_an_address_and_perhaps_a_name() {
        let read = |text: &str| sender(text).map(|it| (it.name, it.address));
        let name = |name: &str| Some(name.to_owned());
        let address = "no-reply@example.org".to_owned();
        assert_eq!(read("no-reply@example.org"), Ok((None, address.clone())));
        assert_eq!(read("<no-reply@example.org>"), Ok((None, address.clone())));
        assert_eq!(
            read("Sørens filer, Inc. <no-reply@example.org>"),
            Ok((name("Sørens filer, Inc."), address))
        );
        for text in [
            "",
            "Files",
            "Files <>",
            "Files no-reply@example.org",
            "Files <no-reply@example.org",
            "\"Files\" <no-reply@example.org>",
            "Files\r\nBcc: <no-reply@example.org>",
            "Files <a@b> <no-reply@example.org>",
            "a@b@example.org",
            "a b@example.org",
            "a@exa mple.org",
            ".a@example.org",
            "a@",
            "a@example.org\r\nBcc: b@example.org",
        ] {
            assert!(sender(text).is_err(), "{text:?}");
        }
    }
}
