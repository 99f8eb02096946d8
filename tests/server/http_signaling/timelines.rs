//! Timelines of calls, for their members and for the operator.

use serde_json::{Value, json};

use super::in_process::{Client, Server, get};

struct Member {
    client: Client,
    id: String,
}

impl Member {
    async fn enter(server: &Server, room: &str, name: &str) -> Self {
        let mut client = Client::connect(server).await;
        client.say(&json!({"type": "join", "room": room, "name": name}).to_string()).await;
        let joined = client.hear_type("joined").await;
        let Value::String(id) = &joined["id"] else { panic!("{joined}") };
        Self { client, id: id.clone() }
    }

    async fn say(&mut self, message: Value) {
        self.client.say(&message.to_string()).await;
    }

    /// Waits until the server has read everything.
    async fn settle(&mut self) {
        self.say(json!({"type": "ping"})).await;
        self.client.hear_type("pong").await;
    }

    async fn agree(&mut self, reports: bool) {
        self.say(json!({"type": "consent", "reports": reports})).await;
        self.settle().await;
    }

    async fn report(&mut self, peer: &str, state: &str) {
        let event = json!({"kind": "connection", "peer": peer, "detail": {"state": state}});
        self.say(json!({"type": "report", "events": [event]})).await;
        self.settle().await;
    }

    /// The kinds of the events that it may see, and the whole answer.
    async fn timeline(&mut self) -> (Vec<String>, Value) {
        self.say(json!({"type": "timeline"})).await;
        let answer = self.client.hear_type("timeline").await;
        let kinds = answer["events"].as_array().expect("a list").iter();
        (kinds.map(|event| event["kind"].as_str().expect("a text").to_owned()).collect(), answer)
    }
}

#[tokio::test]
async fn members_that_agree_read_one_timeline() {
    let server = Server::start().await;
    let mut ann = Member::enter(&server, "oak", "Ann").await;
    let mut bob = Member::enter(&server, "oak", "Bob").await;
    ann.agree(true).await;
    bob.agree(true).await;
    ann.report(&bob.id, "connecting").await;
    bob.report(&ann.id, "failed").await;

    let (kinds, answer) = ann.timeline().await;
    assert_eq!(kinds, ["joined", "joined", "reports", "reports", "connection", "connection"]);
    let names: Vec<_> =
        answer["members"].as_array().expect("a list").iter().map(|m| m["name"].clone()).collect();
    assert_eq!(names, ["Ann", "Bob"]);
    let last = &answer["events"][5];
    assert_eq!((&last["member"], &last["peer"]), (&json!(bob.id), &json!(ann.id)));
    assert_eq!(last["detail"], json!({"state": "failed"}));
    // Bob came later.
    assert_eq!(bob.timeline().await.0, ["joined", "reports", "reports", "connection", "connection"]);

    // From where the reader has it.
    ann.say(json!({"type": "timeline", "after": answer["next"]})).await;
    let answer = ann.client.hear_type("timeline").await;
    assert_eq!((&answer["events"], &answer["more"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn the_operator_reads_every_call_in_words() {
    let server = Server::start().await;
    let mut ann = Member::enter(&server, "oak tree", "Ann").await;
    ann.agree(true).await;
    ann.report("nobody", "connected").await;

    let calls = get(server.admin, "/timelines", &[]).await;
    let calls: Value = serde_json::from_slice(&calls.body).expect("is JSON");
    let call = &calls["calls"][0];
    assert_eq!((&call["room"], &call["ended"]), (&json!("oak tree"), &Value::Null));
    assert_eq!((&call["members"], &call["events"], &call["dropped"]), (&json!(1), &json!(3), &json!(0)));

    let answer = get(server.admin, "/timelines/oak%20tree", &[]).await;
    let timeline: Value = serde_json::from_slice(&answer.body).expect("is JSON");
    let member = &timeline["members"][0];
    assert_eq!(
        (&member["id"], &member["name"], &member["reports"]),
        (&json!(ann.id), &json!("Ann"), &json!(true))
    );
    assert!(member["user"].as_str().expect("a text").ends_with(&format!(".{}", ann.id)));
    let texts: Vec<_> =
        timeline["events"].as_array().expect("a list").iter().map(|e| e["text"].clone()).collect();
    assert_eq!(texts, ["joined", "shares its connection details", "connected"]);

    assert_eq!(get(server.admin, "/timelines/elm", &[]).await.status, 404);
    // The public pages have none of it.
    assert_eq!(get(server.http, "/timelines", &[]).await.status, 404);
}

#[tokio::test]
async fn threat_55_nothing_is_taken_without_consent_and_nothing_stays_after_it() {
    let server = Server::start().await;
    let mut ann = Member::enter(&server, "oak", "Ann").await;
    let mut bob = Member::enter(&server, "oak", "Bob").await;
    ann.say(json!({"type": "report", "events": [{"kind": "restarted", "detail": {}}]})).await;
    assert_eq!(ann.client.hear_type("error").await["code"], "no-consent");
    assert_eq!(bob.timeline().await.0, ["joined"]);

    ann.agree(true).await;
    ann.report(&bob.id, "connected").await;
    assert_eq!(bob.timeline().await.0, ["joined", "reports", "connection"]);
    ann.agree(false).await;
    assert_eq!(bob.timeline().await.0, ["joined", "reports", "reports"]);
}

#[tokio::test]
async fn threat_55_no_timeline_outside_of_a_room_or_of_another() {
    let server = Server::start().await;
    let mut ann = Member::enter(&server, "oak", "Ann").await;
    ann.agree(true).await;
    let mut eve = Member::enter(&server, "elm", "Eve").await;
    assert_eq!(eve.timeline().await.0, ["joined"]);
    // An observation about a member of another room names nobody.
    eve.agree(true).await;
    eve.report(&ann.id, "connected").await;
    let (_, answer) = eve.timeline().await;
    assert_eq!(answer["events"][2]["peer"], Value::Null);

    eve.say(json!({"type": "leave"})).await;
    for message in [
        json!({"type": "timeline"}),
        json!({"type": "consent", "reports": true}),
        json!({"type": "report", "events": []}),
    ] {
        eve.say(message).await;
        assert_eq!(eve.client.hear_type("error").await["code"], "not-joined");
    }
}

#[tokio::test]
async fn threat_55_a_flood_of_reports_is_bounded() {
    let server = Server::start().await;
    let mut ann = Member::enter(&server, "oak", "Ann").await;
    ann.agree(true).await;
    let events = vec![json!({"kind": "connection", "detail": {"state": "failed"}}); 32];
    for _ in 0..40 {
        ann.say(json!({"type": "report", "events": events})).await;
    }
    ann.settle().await;
    let call = &server.hub.timelines()[0];
    // Its rate grants a few more while the test runs.
    assert!(call.events <= 256 && call.dropped >= 40 * 32 - 256, "{call:?}");

    ann.say(json!({"type": "report", "events": vec![events[0].clone(); 33]})).await;
    assert_eq!(ann.client.hear_type("error").await["code"], "bad-message");
    for _ in 0..40 {
        ann.say(json!({"type": "timeline"})).await;
    }
    let error = ann.client.hear_type("error").await;
    assert_eq!(error["code"], "rate-limited");
    assert!(error["retry_ms"].as_u64().is_some_and(|ms| ms <= 201));
}
