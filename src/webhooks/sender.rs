//! Task that sends the deliveries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, Uri, header};
use byway_turn::closed_set::ClosedSet as _;
use byway_turn::prng::Prng;
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::counters::{WebhookCounters, WebhookDrop, WebhookOutcome};
use super::queue::{Attempt, Delivery, Next, Queue};
use super::{WebhookSettings, message, signature};
use crate::clock::Clock;
use crate::events::{EventReceiver, Timed};
use crate::live::Live;
use crate::net::http_client::{ClientError, ClientLimits, HttpClient, PlainHttp, retry_after};

/// Bounds of one request, but for the servers without TLS.
const LIMITS: ClientLimits = ClientLimits {
    request: Duration::from_secs(10),
    connect: Duration::from_secs(4),
    body: 64 << 10,
    plain: PlainHttp::Loopback,
};

/// Shortest time between two lines of the log. A receiver decides how often its answers change.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Parts that the webhooks are made from.
pub struct WebhookParts {
    /// Settings at the start; `None`: off.
    pub settings: Option<WebhookSettings>,
    /// Events to send.
    pub events: EventReceiver,
    /// Source of the ids of deliveries.
    pub random: Prng,
    /// Clock.
    pub clock: Clock,
    /// Counters.
    pub counters: Arc<WebhookCounters>,
}

/// Hands new settings to the webhooks. A clone is another handle to them.
#[derive(Clone)]
pub struct WebhookControl {
    settings: Live<Option<WebhookSettings>>,
    changed: Arc<Notify>,
}

/// Background task of the webhooks.
pub struct Webhooks {
    control: WebhookControl,
    clock: Clock,
    counters: Arc<WebhookCounters>,
    state: Mutex<State>,
}

/// State of the task, which a restart of the task keeps.
struct State {
    events: EventReceiver,
    queue: Queue,
    /// Prefix of the ids, and the number of the next.
    ids: (String, u64),
    /// Client for the settings that it was made for.
    client: Option<(bool, Arc<HttpClient>)>,
    log: AttemptLog,
}

/// Last outcome that is in the log.
#[derive(Default)]
struct AttemptLog {
    told: Option<WebhookOutcome>,
    not_before: Duration,
}

impl WebhookControl {
    /// Applies new settings. Deliveries that wait are sent by them at once; `None` discards them.
    pub fn configure(&self, settings: Option<WebhookSettings>) {
        self.settings.store(settings);
        self.changed.notify_one();
    }
}

impl Webhooks {
    /// Prepares the task.
    #[must_use]
    pub fn new(parts: WebhookParts) -> (Arc<Self>, WebhookControl) {
        let WebhookParts { settings, events, random, clock, counters } = parts;
        let control = WebhookControl { settings: Live::new(settings), changed: Arc::default() };
        let ids = (random.token96(), 1);
        let state = State { events, queue: Queue::default(), ids, client: None, log: AttemptLog::default() };
        let webhooks = Self { control: control.clone(), clock, counters, state: Mutex::new(state) };
        (Arc::new(webhooks), control)
    }

    /// Sends events until the runtime ends.
    pub async fn run(self: Arc<Self>) {
        let mut state = self.state.lock().await;
        loop {
            self.step(&mut state).await;
            self.counters.waiting.set(state.queue.len() as u64);
        }
    }

    /// Waits for an event or for the time of the next attempt, or makes that attempt.
    async fn step(&self, state: &mut State) {
        let settings = self.control.settings.load().as_ref().clone();
        let Some(settings) = settings else {
            self.counters.dropped(WebhookDrop::Off, state.queue.clear());
            state.client = None;
            return tokio::select! {
                // Discarded.
                Some(_) = state.events.recv() => {}
                () = self.control.changed.notified() => {}
            };
        };
        let now = self.clock.now().mono;
        let delivery = match state.queue.next(now) {
            Next::Now(delivery) => delivery.clone(),
            next => {
                let pause = match next {
                    Next::At(at) => Some(at.saturating_sub(now)),
                    Next::Now(_) | Next::Idle => None,
                };
                let pause = async {
                    match pause {
                        Some(pause) => sleep(pause).await,
                        None => std::future::pending().await,
                    }
                };
                return tokio::select! {
                    Some(event) = state.events.recv() => self.enqueue(&settings, state, &event),
                    () = self.control.changed.notified() => state.queue.retry_now(),
                    () = pause => {}
                };
            }
        };
        let client = self.client(&settings, state).await;
        let attempt = self.attempt(&settings, client, delivery);
        tokio::pin!(attempt);
        // Events are taken meanwhile: their channel is shorter than the queue.
        let (outcome, attempt, cause) = loop {
            tokio::select! {
                outcome = &mut attempt => break outcome,
                Some(event) = state.events.recv() => self.enqueue(&settings, state, &event),
            }
        };
        self.counters.attempted(outcome);
        let now = self.clock.now().mono;
        let given_up = state.queue.attempted(now, attempt);
        self.counters.dropped(WebhookDrop::Expired, given_up);
        if attempt == Attempt::Refused {
            self.counters.dropped(WebhookDrop::Refused, 1);
        }
        if state.log.is_due(now, outcome) {
            log(outcome, &cause, state.queue.len(), self.counters.all_dropped());
        }
    }

    fn enqueue(&self, settings: &WebhookSettings, state: &mut State, event: &Timed) {
        let id = format!("{}-{}", state.ids.0, state.ids.1);
        let Some(body) = message::body(event, &id, &settings.realm) else { return };
        state.ids.1 += 1;
        if !state.queue.push(self.clock.now().mono, Delivery { id, body }) {
            self.counters.dropped(WebhookDrop::QueueFull, 1);
        }
        self.counters.waiting.set(state.queue.len() as u64);
    }

    /// Returns the client, or the error of making one. Reading the system's roots takes some
    /// milliseconds.
    async fn client(
        &self,
        settings: &WebhookSettings,
        state: &mut State,
    ) -> Result<Arc<HttpClient>, ClientError> {
        if let Some((plain_http, client)) = &state.client
            && *plain_http == settings.plain_http
        {
            return Ok(client.clone());
        }
        let plain = if settings.plain_http { PlainHttp::Everywhere } else { LIMITS.plain };
        let made = spawn_blocking(move || HttpClient::new(None, ClientLimits { plain, ..LIMITS })).await;
        let failed =
            |error: String| ClientError::Connect("the receiver".to_owned(), std::io::Error::other(error));
        let client = made.map_err(|error| failed(error.to_string()))?;
        let client = Arc::new(client.map_err(|error| failed(error.to_string()))?);
        state.client = Some((settings.plain_http, client.clone()));
        Ok(client)
    }

    /// Sends one request. Returns its outcome, the consequence, and the cause in words.
    async fn attempt(
        &self,
        settings: &WebhookSettings,
        client: Result<Arc<HttpClient>, ClientError>,
        delivery: Delivery,
    ) -> (WebhookOutcome, Attempt, String) {
        let secret: &[u8] = settings.secret.as_ref();
        let signature = signature::sign(secret, self.clock.now().unix, delivery.body.as_bytes());
        let url: &str = settings.url.as_ref();
        let url: Uri = url.parse().expect("`config` has parsed it");
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("byway/", env!("CARGO_PKG_VERSION")))
            .header("byway-delivery", &delivery.id)
            .header("byway-signature", signature)
            .body(Body::from(delivery.body))
            .expect("all fields have the characters of a header");
        let answer = match client {
            Ok(client) => client.send_for_head(request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(head) => {
                let (outcome, attempt) = judge(head.status, retry_after(&head.headers));
                (outcome, attempt, format!("it answers {}", head.status))
            }
            Err(error) => {
                let outcome = match &error {
                    ClientError::Late(..) => WebhookOutcome::Late,
                    ClientError::Answer(..) => WebhookOutcome::Failed,
                    ClientError::NotHttps(_) | ClientError::Resolve(..) | ClientError::Connect(..) => {
                        WebhookOutcome::Unreachable
                    }
                };
                (outcome, Attempt::Failed(Duration::ZERO), error.to_string())
            }
        }
    }
}

/// Returns the outcome and the consequence of a status.
fn judge(status: StatusCode, retry_after: Option<Duration>) -> (WebhookOutcome, Attempt) {
    let again = Attempt::Failed(retry_after.unwrap_or_default());
    match status.as_u16() {
        200..=299 => (WebhookOutcome::Delivered, Attempt::Delivered),
        300..=399 => (WebhookOutcome::Redirected, Attempt::Refused),
        408 | 425 | 429 => (WebhookOutcome::Failed, again),
        400..=499 => (WebhookOutcome::Refused, Attempt::Refused),
        _ => (WebhookOutcome::Failed, again),
    }
}

impl AttemptLog {
    /// Whether this outcome belongs in the log: it differs from the last one there, and some time
    /// has passed.
    fn is_due(&mut self, now: Duration, outcome: WebhookOutcome) -> bool {
        let is_new = match self.told {
            None => outcome != WebhookOutcome::Delivered,
            Some(told) => told != outcome,
        };
        let is_due = is_new && now >= self.not_before;
        if is_due {
            (self.told, self.not_before) = (Some(outcome), now + LOG_EVERY);
        }
        is_due
    }
}

/// Logs an outcome that differs from the one before.
fn log(outcome: WebhookOutcome, cause: &str, waiting: usize, dropped: u64) {
    match outcome {
        WebhookOutcome::Delivered => {
            tracing::info!(waiting, dropped, "the receiver of webhooks accepts deliveries again");
        }
        WebhookOutcome::Refused => tracing::warn!(
            "the receiver of webhooks refuses deliveries: {cause}; remedy: check `url` and `secret` under [webhooks] \
             against the receiver"
        ),
        WebhookOutcome::Redirected => tracing::warn!(
            "the receiver of webhooks redirects, which is not followed: {cause}; remedy: set `url` under [webhooks] to \
             the final URL"
        ),
        WebhookOutcome::Failed | WebhookOutcome::Unreachable | WebhookOutcome::Late => tracing::warn!(
            waiting,
            "the receiver of webhooks gets no deliveries ({}): {cause}; remedy: start it, or correct `url` under \
             [webhooks]; deliveries wait up to 10 minutes",
            outcome.label()
        ),
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookControl").finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookParts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_consequences() {
        let later = Attempt::Failed(Duration::ZERO);
        for (status, outcome, attempt) in [
            (200, WebhookOutcome::Delivered, Attempt::Delivered),
            (204, WebhookOutcome::Delivered, Attempt::Delivered),
            (301, WebhookOutcome::Redirected, Attempt::Refused),
            (308, WebhookOutcome::Redirected, Attempt::Refused),
            (400, WebhookOutcome::Refused, Attempt::Refused),
            (410, WebhookOutcome::Refused, Attempt::Refused),
            (408, WebhookOutcome::Failed, later),
            (429, WebhookOutcome::Failed, later),
            (500, WebhookOutcome::Failed, later),
            (999, WebhookOutcome::Failed, later),
        ] {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap(), None), (outcome, attempt), "{status}");
        }
        let asked = Duration::from_secs(30);
        assert_eq!(judge(StatusCode::TOO_MANY_REQUESTS, Some(asked)).1, Attempt::Failed(asked));
    }

    #[test]
    fn threat_58_the_log_tells_of_changes_at_most_once_a_minute() {
        let mut log = AttemptLog::default();
        let mut lines = 0;
        for n in 0..600 {
            let outcome = [WebhookOutcome::Refused, WebhookOutcome::Delivered][n % 2];
            lines += usize::from(log.is_due(Duration::from_secs(1) * u32::try_from(n).unwrap(), outcome));
        }
        assert_eq!(lines, 10);
        let mut healthy = AttemptLog::default();
        assert!(!healthy.is_due(LOG_EVERY, WebhookOutcome::Delivered));
    }
}
