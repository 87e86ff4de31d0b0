//! A server of the machine that ends with its test.

use super::{client, program, wait_for};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a start may take on a busy machine.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(30);

/// Killed when it is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `name` without any output and waits until `url` answers 200.
    pub(crate) async fn start(
        name: &str,
        url: &str,
        configure: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let process = Self::spawn(name, configure);
        let http = client();
        wait_for(name, START_LIMIT, async || {
            let answer = http.get(url).send().await.ok();
            answer.filter(|it| it.status() == 200)
        })
        .await;
        process
    }
}

impl Process {
    /// The same without a wait.
    pub(crate) fn spawn(name: &str, configure: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(program(name));
        configure(&mut command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect(name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
