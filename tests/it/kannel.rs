//! The templated provider against a real Kannel: `bearerbox`, `smsbox` and `fakesmsc` as the mobile
//! network behind it (Debian packages `kannel` and `kannel-extras`).

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use vestibule::auth::Deliver as _;
use vestibule::config::model::{Delivery, HttpSms, SmsProvider};
use vestibule::delivery::{Observer, Providers};
use vestibule::factor::phone::Phone;
use vestibule::secret::Secret;

/// Long enough for a busy machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(60);
const FAKESMSC: &str = "/usr/lib/kannel/test/fakesmsc";

/// A process of Kannel's and what it prints.
struct Process {
    name: &'static str,
    lines: mpsc::UnboundedReceiver<String>,
    _child: Child,
}

impl Process {
    fn start(name: &'static str, program: &str, arguments: &[&str], directory: &Path) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program}: {error}: apt-get install kannel kannel-extras")
            });
        let (sender, lines) = mpsc::unbounded_channel();
        read(child.stdout.take().unwrap(), sender.clone());
        read(child.stderr.take().unwrap(), sender);
        Self {
            name,
            lines,
            _child: child,
        }
    }

    /// The first line from here on that holds `text`.
    async fn line_with(&mut self, text: &str) -> String {
        let mut printed = String::new();
        let found = tokio::time::timeout(DEADLINE, async {
            while let Some(line) = self.lines.recv().await {
                if line.contains(text) {
                    return Some(line);
                }
                printed.push_str(&line);
                printed.push('\n');
            }
            None
        });
        match found.await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{} ended before it said {text:?}:\n{printed}", self.name),
            Err(_) => panic!("{} never said {text:?}:\n{printed}", self.name),
        }
    }
}

fn read(output: impl AsyncRead + Unpin + Send + 'static, lines: mpsc::UnboundedSender<String>) {
    tokio::spawn(async move {
        let mut output = BufReader::new(output).lines();
        while let Ok(Some(line)) = output.next_line().await {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}

/// Ports that are free now.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners: [TcpListener; COUNT] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A running Kannel.
struct Kannel {
    _directory: tempfile::TempDir,
    sendsms_port: u16,
    network: Process,
    _boxes: [Process; 2],
}

impl Kannel {
    async fn start() -> Self {
        let [admin, boxes, smsc, sendsms] = free_ports();
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "group = core\nadmin-port = {admin}\nadmin-interface = 127.0.0.1\nadmin-password = admin\n\
             smsbox-port = {boxes}\nsmsbox-interface = 127.0.0.1\n\n\
             group = smsc\nsmsc = fake\nsmsc-id = fake\nport = {smsc}\nconnect-allow-ip = 127.0.0.1\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {boxes}\n\
             sendsms-port = {sendsms}\nsendsms-interface = 127.0.0.1\n\n\
             group = sendsms-user\nusername = files\npassword = kannel-password\nfaked-sender = 4500\n\n\
             group = sms-service\nkeyword = default\ntext = none\nmax-messages = 0\n"
        );
        std::fs::write(directory.path().join("kannel.conf"), config).unwrap();
        let at = directory.path();
        let arguments = ["-v", "1", "kannel.conf"];
        let mut bearerbox = Process::start("bearerbox", "/usr/sbin/bearerbox", &arguments, at);
        bearerbox.line_with("Start-up done").await;
        let smsc = smsc.to_string();
        // It sends nothing of its own (`-m 0`), and prints what it gets.
        let arguments = ["-H", "127.0.0.1", "-r", &smsc, "-m", "0", "1 2 text none"];
        let network = Process::start("fakesmsc", FAKESMSC, &arguments, at);
        bearerbox.line_with("Fakesmsc client connected").await;
        let arguments = ["-v", "1", "kannel.conf"];
        let mut smsbox = Process::start("smsbox", "/usr/sbin/smsbox", &arguments, at);
        smsbox.line_with("Connected to bearerbox").await;
        Self {
            _directory: directory,
            sendsms_port: sendsms,
            network,
            _boxes: [bearerbox, smsbox],
        }
    }

    fn provider(&self, password: &str) -> SmsProvider {
        let pair = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        SmsProvider::Http(HttpSms {
            url: format!("http://127.0.0.1:{}/cgi-bin/sendsms", self.sendsms_port),
            method: http::Method::GET,
            query: vec![
                pair("username", "files"),
                pair("password", password),
                pair("to", "{phone}"),
                pair("text", "{text}"),
            ],
            form: Vec::new(),
            json: None,
            headers: Vec::new(),
            timeout: DEADLINE,
        })
    }
}

#[tokio::test]
async fn kannel_delivers_the_code_to_the_number() {
    let mut kannel = Kannel::start().await;
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&outcomes);
    let observer: Observer = Arc::new(move |provider, outcome| {
        told.lock().unwrap().push((provider, outcome));
    });
    // The first knows a wrong password and is refused; the second is the same Kannel.
    let sms = vec![kannel.provider("wrong"), kannel.provider("kannel-password")];
    let email = None;
    let providers = Providers::new(&Delivery { sms, email }, observer).unwrap();
    let to = Phone::from_e164("+4512345678").unwrap();
    let text = Secret::new("Files: your code is 271828 & 100%");
    assert_eq!(providers.sms(&to, &text).await, Ok("http"));
    let message = kannel.network.line_with("Got message 1:").await;
    assert!(
        message.contains("<4500 +4512345678 text Files: your code is 271828 & 100%>"),
        "{message}"
    );
    assert_eq!(
        *outcomes.lock().unwrap(),
        [("http", "refused"), ("http", "accepted")]
    );
}
