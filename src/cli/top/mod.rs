//! `byway top`: a live view of the running server in the terminal.
//!
//! `screen` is the state, `draw` shows it, `requests` asks the server, and this file connects them
//! with the terminal. `views` makes `table`s of the `answers`.

mod answers;
mod draw;
mod requests;
mod screen;
mod table;
#[cfg(test)]
mod tests;
mod views;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};

use self::draw::{Theme, draw};
use self::requests::{Reply, Request, Source};
use self::screen::{Screen, Wish};
use super::plain_text::plain_json;
use super::running_server::AdminListener;
use super::{CliError, CommandOutcome, status};
use crate::clock::Clock;
use crate::config::Config;

/// Arguments of `byway top`.
#[derive(Debug, Args)]
pub(super) struct TopArguments {
    /// Print everything once as JSON, instead of the live view
    #[arg(long)]
    json: bool,
    /// Show the addresses of clients, and their relayed addresses
    #[arg(long)]
    addresses: bool,
    /// Time between two requests to the server
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(200)..=Duration::from_secs(3_600);
    let interval = super::duration(text)?;
    match bounds.contains(&interval) {
        true => Ok(interval),
        false => Err("write a time from \"200ms\" to \"1h\"".to_owned()),
    }
}

/// Shows the server until the user quits, or prints everything once.
pub(super) fn run(arguments: &TopArguments, config: &Config) -> Result<CommandOutcome, CliError> {
    let listener = AdminListener::of(&config.listen).ok_or(CliError::Usage(status::NO_LISTENER))?;
    if arguments.addresses && !listener.is_for_operators() {
        return Err(CliError::Usage(
            "the TCP listener shows no addresses\n  \
             remedy: add \"unix:/run/byway/admin.sock\" to `admin` under [listen] and reload",
        ));
    }
    let source = Source { listener, has_addresses: arguments.addresses };
    if arguments.json {
        return print_once(&source);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "`byway top` needs a terminal\n  remedy: run it in one, or print everything once with --json",
        ));
    }
    let screen = Screen::new(source.listener.to_string(), source.listener.is_for_operators());
    live(screen, source, arguments.interval)?;
    Ok(CommandOutcome::Done)
}

fn print_once(source: &Source) -> Result<CommandOutcome, CliError> {
    let (answer, outcome) = match source.all() {
        Ok(answer) => (answer, CommandOutcome::Done),
        Err(reason) => (status::as_json(&source.listener, &reason), CommandOutcome::FaultFound),
    };
    super::print(&(plain_json(&format!("{answer:#}")) + "\n"))?;
    Ok(outcome)
}

/// Event of the main loop.
enum Arrival {
    Terminal(Event),
    Reply(Reply),
    /// A signal, or the end of the terminal.
    End,
}

fn live(screen: Screen, source: Source, interval: Duration) -> io::Result<()> {
    let (sender, arrivals) = channel();
    let replies = sender.clone();
    // If this fails, the main loop has ended.
    let requests = source.begin(move |reply| drop(replies.send(Arrival::Reply(reply))))?;
    // From here on a panic restores the terminal, too.
    let mut terminal = ratatui::try_init()?;
    let outcome = watch_signals(sender.clone()).and_then(|()| watch_keys(sender)).and_then(|()| {
        let theme = Theme { has_colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
        let mut main_loop =
            MainLoop { screen, requests, theme, clock: Clock::start(), interval, is_asking: false };
        main_loop.run(&mut terminal, &arrivals)
    });
    ratatui::restore();
    outcome
}

/// Ends the view on signals that end a program: without that the terminal would stay as it is.
fn watch_signals(sender: Sender<Arrival>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let watched = {
        let _within = runtime.enter();
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal)
    };
    let [mut terminate, mut interrupt, mut hangup] = watched;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let any = async {
                if let (Ok(terminate), Ok(interrupt), Ok(hangup)) = (&mut terminate, &mut interrupt, &mut hangup) {
                    tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} _ = hangup.recv() => {} }
                }
            };
            any.await;
        });
        let _ = sender.send(Arrival::End);
    })?;
    Ok(())
}

fn watch_keys(sender: Sender<Arrival>) -> io::Result<()> {
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        while let Ok(event) = event::read() {
            if sender.send(Arrival::Terminal(event)).is_err() {
                return;
            }
        }
        let _ = sender.send(Arrival::End);
    })?;
    Ok(())
}

struct MainLoop {
    screen: Screen,
    requests: Sender<Request>,
    theme: Theme,
    clock: Clock,
    interval: Duration,
    /// Whether an answer is due. One request is sent at a time.
    is_asking: bool,
}

impl MainLoop {
    fn run(
        &mut self,
        terminal: &mut DefaultTerminal,
        arrivals: &std::sync::mpsc::Receiver<Arrival>,
    ) -> io::Result<()> {
        let mut next = Duration::ZERO;
        loop {
            let now = self.clock.now().mono;
            if now >= next && !self.is_asking {
                self.ask();
                next = now + self.interval;
            }
            terminal.draw(|frame| draw(frame, &self.screen, now, self.theme))?;
            let first = arrivals.recv_timeout(next.saturating_sub(now).max(Duration::from_millis(50)));
            // Text that is pasted comes as many events, which are drawn once.
            let first = match first {
                Ok(arrival) => Some(arrival),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            for arrival in first.into_iter().chain(arrivals.try_iter().take(1_000)) {
                match self.take(arrival) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Refresh) => next = Duration::ZERO,
                    Some(Wish::Remove(removal)) => {
                        let _ = self.requests.send(Request::Remove(removal));
                    }
                    None => {}
                }
            }
        }
    }

    fn ask(&mut self) {
        self.is_asking = self.requests.send(Request::Show(self.screen.view.clone())).is_ok();
    }

    fn take(&mut self, arrival: Arrival) -> Option<Wish> {
        match arrival {
            Arrival::Terminal(event) => self.screen.on(&event),
            Arrival::Reply(Reply::Shown(answer)) => {
                self.is_asking = false;
                // The user has chosen another view since the request.
                let is_late = (*answer).as_ref().is_ok_and(|answer| answer.view != self.screen.view);
                self.screen.answered(self.clock.now().mono, *answer);
                is_late.then_some(Wish::Refresh)
            }
            Arrival::Reply(Reply::Removed(removal, outcome)) => {
                self.screen.removed(&removal.thing, outcome);
                Some(Wish::Refresh)
            }
            Arrival::End => Some(Wish::Quit),
        }
    }
}
