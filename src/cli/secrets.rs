//! Secrets that a command is given: in a file or on standard input, never as an argument, which every
//! user of the machine could read.

use super::error::CliError;
use crate::operator::users::PASSWORD_BYTES_MAX;
use crate::secret::Secret;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

/// Longer tokens do not fit into a request's head.
const TOKEN_BYTES_MAX: usize = 16_384;

pub(super) fn read_password(file: &Path) -> Result<Secret, CliError> {
    read(file, "password", PASSWORD_BYTES_MAX)
}

pub(super) fn read_token(file: &Path) -> Result<Secret, CliError> {
    read(file, "token", TOKEN_BYTES_MAX)
}

/// The first line of a file, or of standard input for `-`.
fn read(file: &Path, what: &'static str, bytes_max: usize) -> Result<Secret, CliError> {
    let fail = |cause: std::io::Error| CliError::SecretFile {
        what,
        path: file.to_owned(),
        cause: cause.to_string(),
    };
    let mut text = Zeroizing::new(String::new());
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX) + 2;
    if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    }
    .map_err(fail)?;
    one_line(&text, bytes_max).map_err(|cause| CliError::BadSecret { what, cause })
}

fn one_line(text: &str, bytes_max: usize) -> Result<Secret, &'static str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        "" => Err("empty: is this the right file?"),
        line if line.len() > bytes_max => Err("too long: is this the right file?"),
        line if line.contains(['\n', '\r', '\0']) => {
            Err("more than one line: is this the right file?")
        }
        line => Ok(Secret::new(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_as_it_stands() {
        let password = |text: &str| {
            one_line(text, PASSWORD_BYTES_MAX)
                .map(|secret| secret.expose().to_owned())
                .ok()
        };
        assert_eq!(password("hunter2\n").as_deref(), Some("hunter2"));
        assert_eq!(password(" hunter 2 \r\n").as_deref(), Some(" hunter 2 "));
        let longest = "x".repeat(1_024);
        assert_eq!(password(&longest), Some(longest.clone()));
        for wrong in ["", "\n", "a\nb", "a\0b"] {
            assert_eq!(password(wrong), None, "{wrong:?}");
        }
        assert_eq!(password(&(longest + "x")), None);
    }

    #[test]
    fn a_password_file_is_read_and_a_missing_one_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("pw");
        std::fs::write(&file, "secret words\n").unwrap();
        assert_eq!(read_password(&file).unwrap().expose(), "secret words");
        let missing = read_password(&tmp.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
