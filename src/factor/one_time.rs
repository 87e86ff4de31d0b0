//! One-time codes that are sent to people: how a typed code is read, and what the message says.
//!
//! Draws no code and keeps none: randomness is `entropy`'s, judging is the store's.

use crate::secret::Secret;
use std::time::Duration;

/// A typed code as its bare digits: white space and hyphens dropped. `None` if nothing is left, or
/// anything else than ASCII digits.
///
/// The length is not looked at: a code with too many or too few digits is a wrong code, counted as
/// one, and not a malformed request.
#[must_use]
pub fn normalise(typed: &str) -> Option<Secret> {
    let digits: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect();
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| Secret::new(digits))
}

/// The text of the message that carries `code`. It has no link, so that a person learns never to
/// follow one from such a message.
#[must_use]
pub fn message(code: &str, service_name: &str, lifetime: Duration) -> Secret {
    let span = readable(lifetime);
    Secret::new(format!(
        "{code} is your code for {service_name}. It expires in {span}."
    ))
}

/// The text of the message whose `code` lets in a client that cannot show a page. It says so: somebody
/// may have talked its reader into it.
#[must_use]
pub fn client_message(code: &str, service_name: &str, lifetime: Duration) -> Secret {
    let span = readable(lifetime);
    Secret::new(format!(
        "{code} lets a program in at {service_name} as you. If you did not start it yourself, do \
         not use this code. It expires in {span}."
    ))
}

/// What a mail says. The subject is shown on locked screens and stays in lists: never a code in it.
#[derive(Clone, Debug)]
pub struct Mail {
    pub subject: String,
    /// Plain text, its lines ended by `\n`.
    pub text: Secret,
}

/// The mail that carries `code`; without a link, as [`message`].
#[must_use]
pub fn mail(code: &str, service_name: &str, lifetime: Duration) -> Mail {
    let span = readable(lifetime);
    Mail {
        subject: format!("Your code for {service_name}"),
        text: Secret::new(format!(
            "{code} is your code for {service_name}.\n\
             \n\
             It works once, and expires in {span}.\n\
             If you did not ask for it, ignore this mail, and tell the code to nobody.\n"
        )),
    }
}

/// The mail whose `code` lets in a client that cannot show a page, as [`client_message`].
#[must_use]
pub fn client_mail(code: &str, service_name: &str, lifetime: Duration) -> Mail {
    let span = readable(lifetime);
    Mail {
        subject: format!("A program asks to be let in at {service_name}"),
        text: Secret::new(format!(
            "{code} lets a program in at {service_name} as you.\n\
             \n\
             It works once, and expires in {span}.\n\
             If you have not started that program yourself just now, do not enter this code and tell it \
             to nobody. Somebody else knows your password then: change it.\n"
        )),
    }
}

/// A span for people: whole minutes, rounded down (never promising more time than there is), or
/// seconds below two minutes.
#[must_use]
pub fn readable(span: Duration) -> String {
    match span.as_secs() {
        1 => "1 second".to_owned(),
        60 => "1 minute".to_owned(),
        secs @ ..120 => format!("{secs} seconds"),
        secs => format!("{} minutes", secs / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(typed: &str) -> Option<String> {
        normalise(typed).map(|code| code.expose().to_owned())
    }

    #[test]
    fn spaces_and_hyphens_are_dropped() {
        assert_eq!(digits("123456").as_deref(), Some("123456"));
        assert_eq!(digits(" 123 456\t").as_deref(), Some("123456"));
        assert_eq!(digits("123-456").as_deref(), Some("123456"));
    }

    #[test]
    fn what_is_not_a_row_of_digits_is_malformed() {
        for typed in [
            "",
            "  -",
            "12345a",
            "+12345",
            "１２３４５６",
            "12.456",
            "123\u{0}456",
        ] {
            assert_eq!(digits(typed), None, "{typed:?}");
        }
    }

    #[test]
    fn another_length_is_left_to_be_judged_as_a_wrong_code() {
        assert_eq!(digits("1").as_deref(), Some("1"));
        assert_eq!(digits("1234567890").as_deref(), Some("1234567890"));
    }

    #[test]
    fn the_message_says_the_code_the_service_and_the_end() {
        let text = message("012345", "Files", Duration::from_secs(600));
        assert_eq!(
            text.expose(),
            "012345 is your code for Files. It expires in 10 minutes."
        );
    }

    #[test]
    fn the_mail_says_the_same_and_its_subject_no_code() {
        let mail = mail("012345", "Files", Duration::from_secs(600));
        assert_eq!(mail.subject, "Your code for Files");
        assert_eq!(
            mail.text.expose(),
            "012345 is your code for Files.\n\nIt works once, and expires in 10 minutes.\n\
             If you did not ask for it, ignore this mail, and tell the code to nobody.\n"
        );
        assert!(!format!("{mail:?}").contains("012345"));
    }

    #[test]
    fn a_code_that_lets_a_program_in_says_so() {
        let text = client_message("012345", "files.example.org", Duration::from_secs(600));
        assert_eq!(
            text.expose(),
            "012345 lets a program in at files.example.org as you. If you did not start it \
             yourself, do not use this code. It expires in 10 minutes."
        );
        assert!(text.expose().len() <= 160, "one message");
        let mail = client_mail("012345", "Files", Duration::from_secs(600));
        assert!(!mail.subject.contains("012345"));
        assert!(mail.text.expose().starts_with("012345 lets a program in"));
    }

    #[test]
    fn spans_never_promise_too_much() {
        let read = |secs| readable(Duration::from_secs(secs));
        assert_eq!(read(1), "1 second");
        assert_eq!(read(45), "45 seconds");
        assert_eq!(read(60), "1 minute");
        assert_eq!(read(90), "90 seconds");
        assert_eq!(read(179), "2 minutes");
    }
}
