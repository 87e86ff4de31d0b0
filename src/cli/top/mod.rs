//! `top`: what a running gateway does, seen through its admin socket: live on a terminal, or as a
//! text or JSON where there is none. It reads numbers and changes nothing.

mod render;
mod terminal;
mod view;

use super::args::{OutputForm, span};
use super::client::Client;
use super::error::CliError;
use super::{block_on, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config;
use crate::observe::stats::Stats;
use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Duration;
use terminal::Terminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use view::View;

/// The words of this command.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Top {
    /// Print one view and end. So it is too where the output is no terminal, but for `--json`, which goes on, a line
    /// for each look.
    #[arg(long)]
    pub(in crate::cli) once: bool,
    /// How often to look.
    #[arg(long, value_parser = span, default_value = "1s", value_name = "TIME")]
    pub(in crate::cli) interval: Duration,
    #[command(flatten)]
    pub(in crate::cli) output: OutputForm,
}

/// Rates and times are of so long a span at most, so that they neither flicker nor lag.
const SPAN_MAX: Duration = Duration::from_secs(10);
/// Keys that quit: `q`, and Ctrl-C and Ctrl-D, which are keys while the view is shown.
const QUITS: [u8; 4] = [b'q', b'Q', 3, 4];

pub(super) fn top(path: &Path, args: &Top) -> Result<(), CliError> {
    let socket = config::admin(path)?.socket.ok_or(CliError::NoSocket)?;
    block_on(async {
        let gateway = Client::of_gateway(&socket)?;
        match !args.once && !args.output.json && io::stdout().is_terminal() {
            true => Live::new(gateway, args.interval)?.run().await,
            false => print(&gateway, args).await,
        }
    })?
}

async fn stats(gateway: &Client) -> Result<Stats, CliError> {
    gateway.get("/v1/stats", &[]).await
}

fn view(before: &(Instant, Stats), now: &(Instant, Stats)) -> View {
    let unix_secs = u64::try_from(SystemClock.now().0).unwrap_or(0);
    View::between(&before.1, &now.1, now.0.duration_since(before.0), unix_secs)
}

/// One view as it is; with `--json` and without `--once` one after the other, a line each.
async fn print(gateway: &Client, args: &Top) -> Result<(), CliError> {
    let mut before = (Instant::now(), stats(gateway).await?);
    loop {
        sleep(args.interval).await;
        let now = (Instant::now(), stats(gateway).await?);
        let view = view(&before, &now);
        let text = if args.output.json {
            serde_json::to_string(&view)?
        } else {
            let lines = render::lines(&view);
            let lines: Vec<_> = lines.iter().map(|it| it.text(usize::MAX, false)).collect();
            lines.join("\n")
        };
        // A reader who has gone away (`| head`) ends it.
        if !say(&(text + "\n")) || args.once || !args.output.json {
            return Ok(());
        }
        before = now;
    }
}

/// The view that is drawn again and again.
struct Live {
    gateway: Client,
    ticks: Interval,
    keys: mpsc::Receiver<u8>,
    ends: [Signal; 3],
    resized: Signal,
    /// The last seconds, the latest one last.
    seen: VecDeque<(Instant, Stats)>,
    colours: bool,
}

/// What has happened meanwhile.
enum Happened {
    Tick,
    Resized,
    Quit,
    Nothing,
}

impl Live {
    fn new(gateway: Client, every: Duration) -> Result<Self, CliError> {
        let heard = |kind| signal(kind).map_err(CliError::Terminal);
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            gateway,
            ticks,
            keys: mpsc::channel(1).1,
            ends: [
                heard(SignalKind::interrupt())?,
                heard(SignalKind::terminate())?,
                heard(SignalKind::hangup())?,
            ],
            resized: heard(SignalKind::window_change())?,
            seen: VecDeque::new(),
            // <https://no-color.org>
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        })
    }

    async fn run(mut self) -> Result<(), CliError> {
        // Asked first: that nobody answers should be read where the command was typed.
        self.look().await?;
        let terminal = Terminal::enter().map_err(CliError::Terminal)?;
        self.keys = terminal::keys();
        loop {
            match self.next().await {
                Happened::Tick => self.look().await?,
                Happened::Resized => {}
                Happened::Quit => return Ok(()),
                Happened::Nothing => continue,
            }
            self.draw(&terminal)?;
        }
    }

    async fn look(&mut self) -> Result<(), CliError> {
        let now = (Instant::now(), stats(&self.gateway).await?);
        let is_old = |(at, _): &(Instant, Stats)| now.0.duration_since(*at) > SPAN_MAX;
        while self.seen.len() > 1 && self.seen.front().is_some_and(is_old) {
            self.seen.pop_front();
        }
        self.seen.push_back(now);
        Ok(())
    }

    fn draw(&self, terminal: &Terminal) -> Result<(), CliError> {
        let (Some(first), Some(last)) = (self.seen.front(), self.seen.back()) else {
            return Ok(());
        };
        let (columns, rows) = terminal.size();
        let lines = render::lines(&view(first, last));
        let text = |line: &render::Line| line.text(columns, self.colours);
        let mut lines: Vec<String> = lines
            .iter()
            .take(rows.saturating_sub(1))
            .map(text)
            .collect();
        if rows > 1 {
            lines.push("q quits".chars().take(columns).collect());
        }
        terminal.draw(&lines).map_err(CliError::Terminal)
    }

    async fn next(&mut self) -> Happened {
        let [interrupt, terminate, hangup] = &mut self.ends;
        tokio::select! {
            _ = interrupt.recv() => Happened::Quit,
            _ = terminate.recv() => Happened::Quit,
            _ = hangup.recv() => Happened::Quit,
            Some(key) = self.keys.recv() => match QUITS.contains(&key) {
                true => Happened::Quit,
                false => Happened::Nothing,
            },
            _ = self.resized.recv() => Happened::Resized,
            _ = self.ticks.tick() => Happened::Tick,
        }
    }
}
