//! One-time codes that are sent to people: how a typed code is read, and what the message says.
//!
//! Draws no code and keeps none: randomness is `entropy`'s, judging is the store's.

use crate::secret::Secret;
use crate::words::{Sentence, Words};
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

/// What a message says and how long its code is good, in the language of who reads it.
#[derive(Clone, Copy, Debug)]
pub struct Wording<'a> {
    pub words: Words,
    /// What people know the service by.
    pub service: &'a str,
    pub lifetime: Duration,
}

impl Wording<'_> {
    fn span(self) -> Sentence {
        self.words.lasting(self.lifetime.as_secs())
    }

    /// The text of the message that carries `code`. It has no link, so that a person learns never to
    /// follow one from such a message, and only letters that leave an SMS its length (GSM 03.38).
    #[must_use]
    pub fn message(self, code: &str) -> Secret {
        let words = self.words;
        filled(
            &words
                .say("message-sms")
                .with("code", code)
                .with("service", self.service)
                .with("span", self.span()),
        )
    }

    /// The text of the message whose `code` lets in a client that cannot show a page. It says so: somebody
    /// may have talked its reader into it.
    #[must_use]
    pub fn client_message(self, code: &str) -> Secret {
        let words = self.words;
        filled(
            &words
                .say("message-sms-program")
                .with("code", code)
                .with("service", self.service)
                .with("span", self.span()),
        )
    }

    /// The mail that carries `code`; without a link, as [`Wording::message`].
    #[must_use]
    pub fn mail(self, code: &str) -> Mail {
        let subject = self
            .words
            .say("message-subject")
            .with("service", self.service);
        let text = self
            .words
            .say("message-mail")
            .with("code", code)
            .with("service", self.service)
            .with("span", self.span());
        Mail::new(&subject, &text)
    }

    /// The mail whose `code` lets in a client that cannot show a page, as [`Wording::client_message`].
    #[must_use]
    pub fn client_mail(self, code: &str) -> Mail {
        let subject = self
            .words
            .say("message-subject-program")
            .with("service", self.service);
        let text = self
            .words
            .say("message-mail-program")
            .with("code", code)
            .with("service", self.service)
            .with("span", self.span());
        Mail::new(&subject, &text)
    }
}

fn filled(sentence: &Sentence) -> Secret {
    Secret::new(sentence.to_string())
}

/// What a mail says. The subject is shown on locked screens and stays in lists: never a code in it.
#[derive(Clone, Debug)]
pub struct Mail {
    pub subject: String,
    /// Plain text, its lines ended by `\n`.
    pub text: Secret,
}

impl Mail {
    fn new(subject: &Sentence, text: &Sentence) -> Self {
        Self {
            subject: subject.to_string(),
            text: Secret::new(format!("{text}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording(words: Words, service: &str) -> Wording<'_> {
        Wording {
            words,
            service,
            lifetime: Duration::from_secs(600),
        }
    }

    fn in_language(tag: &str) -> Words {
        Words::preferred(tag)
    }

    /// The letters of GSM 03.38 that are no ASCII and stand in a text of ours.
    const GSM: &str = "èéùìòÇØøÅåÆæßÉÄÖÑÜäöñüà";

    #[test]
    fn every_language_says_the_code_first_and_in_letters_that_an_sms_has() {
        for (tag, begins) in [
            ("en", "012345 is your code for Files."),
            ("de", "012345 ist Ihr Code für Files."),
            ("da", "012345 er din kode til Files."),
            ("es", "012345 es su clave para Files."),
            ("fr", "012345 est votre code pour Files."),
        ] {
            let wording = wording(in_language(tag), "Files");
            assert_eq!(wording.words.tag(), tag);
            assert!(wording.message("012345").expose().starts_with(begins));
            for text in [wording.message("012345"), wording.client_message("012345")] {
                let text = text.expose();
                assert!(
                    text.starts_with("012345 ") && text.contains("10 "),
                    "{text}"
                );
                assert!(text.chars().count() <= 160, "one message: {text}");
                let odd = text.chars().find(|c| !c.is_ascii() && !GSM.contains(*c));
                assert_eq!(odd, None, "{text}");
                assert!(
                    !text.contains(['`', '{', '[', '~', '|', '^', '\\']),
                    "{text}"
                );
            }
            for mail in [wording.mail("012345"), wording.client_mail("012345")] {
                let lines: Vec<_> = mail.text.expose().lines().collect();
                assert_eq!((lines.len(), lines[1]), (4, ""), "{lines:?}");
                assert!(lines[0].starts_with("012345 ") && mail.text.expose().ends_with('\n'));
                assert!(mail.subject.contains("Files") && !mail.subject.contains("012345"));
            }
        }
    }

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
        let text = wording(Words::default(), "Files").message("012345");
        assert_eq!(
            text.expose(),
            "012345 is your code for Files. It expires in 10 minutes."
        );
    }

    #[test]
    fn the_mail_says_the_same_and_its_subject_no_code() {
        let mail = wording(Words::default(), "Files").mail("012345");
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
        let text = wording(Words::default(), "files.example.org").client_message("012345");
        assert_eq!(
            text.expose(),
            "012345 lets a program in at files.example.org as you. If you did not start it \
             yourself, do not use this code. It expires in 10 minutes."
        );
        assert!(text.expose().len() <= 160, "one message");
        let mail = wording(Words::default(), "Files").client_mail("012345");
        assert!(!mail.subject.contains("012345"));
        assert!(mail.text.expose().starts_with("012345 lets a program in"));
    }

    #[test]
    fn spans_never_promise_too_much() {
        let read = |secs| Words::default().lasting(secs).to_string();
        assert_eq!(read(1), "1 second");
        assert_eq!(read(45), "45 seconds");
        assert_eq!(read(60), "1 minute");
        assert_eq!(read(90), "90 seconds");
        assert_eq!(read(179), "2 minutes");
    }
}
