//! The terminal while it shows a live view: another screen, no echo, keys one by one.
//!
//! Whatever ends the view (a key, a signal, an error, a panic) puts the terminal back as it was.

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::{Mutex, Once, PoisonError};
use tokio::sync::mpsc;

/// The other screen (xterm's 1049), no cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What to put back, while a view is shown.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    /// `None`: the input is no terminal, and was left alone.
    modes: Option<Termios>,
}

/// Shows a view for as long as it lives.
pub(super) struct Terminal(());

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        let modes = match stdin.is_terminal() {
            true => Some(termios::tcgetattr(&stdin)?),
            false => None,
        };
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Before {
            modes: modes.clone(),
        });
        let terminal = Self(());
        restore_on_panic();
        if let Some(mut modes) = modes {
            // ISIG, too: Ctrl-C is a key, and Ctrl-Z would leave the terminal to a shell as it is.
            let unwanted = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            modes.local_modes.remove(unwanted);
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            termios::tcsetattr(&stdin, OptionalActions::Flush, &modes)?;
        }
        write(ENTER)?;
        Ok(terminal)
    }

    /// Draws lines from the top, and nothing below them.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut frame = String::from("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        write(&frame)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = termios::tcgetwinsize(io::stdout()).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back, once.
fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(before) = before else {
        return;
    };
    let _ = write(LEAVE);
    if let Some(modes) = before.modes {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &modes);
    }
}

/// A panic's message must be seen, and not vanish with the other screen.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The keys that are pressed from now on. Read by a thread of its own, which ends with the process:
/// nothing else can be woken out of reading a terminal.
pub(super) fn keys() -> mpsc::Receiver<u8> {
    let (say, keys) = mpsc::channel(16);
    if io::stdin().is_terminal() {
        std::thread::spawn(move || {
            let mut key = [0];
            while io::stdin().read_exact(&mut key).is_ok() {
                let [key] = key;
                if say.blocking_send(key).is_err() {
                    return;
                }
            }
        });
    }
    keys
}
