//! The demo's directory: private, with sample files to share, and gone at the end.

use super::DemoError;
use crate::cli::error::CliError;
use crate::entropy::{self, OsEntropy};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const HELLO: &str = "Hello from behind the gateway.\n";

const HARBOUR: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200">
<rect width="320" height="200" fill="#bde0fe"/><circle cx="250" cy="50" r="22" fill="#ffd166"/>
<path d="M0 140h320v60H0z" fill="#457b9d"/><path d="M90 132h120l-18 26h-84z" fill="#6d4c41"/>
<path d="M150 40v92h-50zM156 56v76h40z" fill="#fff"/></svg>
"##;

/// A directory of the demo's own, mode 700.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, CliError> {
        let name = entropy::token(&OsEntropy)?.split_off(31);
        let path = std::env::temp_dir().join(format!("vestibule-demo-{name}"));
        // `create` fails if somebody was here before us.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|cause| DemoError::Write {
            path: path.clone(),
            cause,
        })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a new file, mode 600 as a store key has to be, and the directories it is in.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, DemoError> {
        let path = self.0.join(name);
        match write_new(&path, text) {
            Ok(()) => Ok(path),
            Err(cause) => Err(DemoError::Write { path, cause }),
        }
    }

    /// Sample files; returns their directory.
    pub(super) fn samples(&self) -> Result<PathBuf, DemoError> {
        self.write("files/hello.txt", HELLO)?;
        self.write("files/photos/harbour.svg", HARBOUR)?;
        self.write("files/photos/about.txt", "A drawing of a harbour.\n")?;
        self.write("files/inbox/about.txt", "Upload something here.\n")?;
        Ok(self.0.join("files"))
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_private_and_leaves_nothing_behind() {
        let scratch = Scratch::new().unwrap();
        let files = scratch.samples().unwrap();
        assert_eq!(fs::read_to_string(files.join("hello.txt")).unwrap(), HELLO);
        let path = scratch.path().to_owned();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let key = scratch.write("store.key", "secret").unwrap();
        assert_eq!(mode(&key), 0o600);
        drop(scratch);
        assert!(!path.exists());
    }
}
