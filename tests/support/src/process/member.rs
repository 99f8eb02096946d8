//! Member of a room, connected to the binary by WebSocket.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::process::Server;
use crate::process::interrupts::Uninterrupted;

/// Maximum wait for a message before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A member of a room, with its WebSocket.
pub struct Member {
    socket: WebSocket<Uninterrupted<TcpStream>>,
    /// Member ID from the server.
    pub id: String,
    /// Username and password for the relay.
    pub credential: (String, String),
    /// The server's answer to `join`.
    pub joined: Value,
}

impl Member {
    /// Joins a room.
    pub fn join(server: &Server, room: &str) -> Self {
        let mut member = Self::ask(server, &json!({"type": "join", "room": room}));
        member.hear_joined();
        member
    }

    /// Resumes a membership of a room, by its `joined` and the last signal.
    pub fn resume(server: &Server, room: &str, joined: &Value, seq: u64) -> Self {
        let join = json!({"type": "join", "room": room, "resume": joined["resume"], "seq": seq});
        let mut member = Self::ask(server, &join);
        member.hear_joined();
        member
    }

    /// Connects and sends a message, such as a `join`, whose answer is not awaited.
    pub fn ask(server: &Server, message: &Value) -> Self {
        let (id, credential) = (String::new(), (String::new(), String::new()));
        let mut member = Self { socket: connect(server), id, credential, joined: Value::Null };
        member.say(&message.to_string());
        member
    }

    /// Receives the next message, which must be the answer that it is in a room.
    pub fn hear_joined(&mut self) {
        let joined = self.hear();
        assert_eq!(joined["type"], "joined", "{joined}");
        self.id = text(&joined["id"]);
        self.credential = credential(&joined["ice"]);
        self.joined = joined;
    }

    /// Receives the next message, which must be a new ICE configuration, and keeps its credential.
    pub fn hear_ice(&mut self) {
        let ice = self.hear();
        assert_eq!(ice["type"], "ice", "{ice}");
        self.credential = credential(&ice);
    }

    /// Sends a message.
    pub fn say(&mut self, message: &str) {
        self.socket.send(Message::Text(message.into())).expect("the server listens");
    }

    /// Returns the next message.
    pub fn hear(&mut self) -> Value {
        hear(&mut self.socket)
    }

    /// Returns code and reason of the server's close frame, which must come next.
    pub fn closed(&mut self) -> (u16, String) {
        closed(&mut self.socket)
    }

    /// Drops the connection without a close frame.
    pub fn lose(self) {
        self.socket.get_ref().0.shutdown(std::net::Shutdown::Both).expect("it was open");
    }
}

/// Returns username and password of an ICE configuration.
fn credential(ice: &Value) -> (String, String) {
    let servers = ice["iceServers"].as_array().expect("servers");
    let turn = servers.iter().find(|server| server.get("username").is_some()).expect("a relay");
    (text(&turn["username"]), text(&turn["credential"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Opens a WebSocket without joining a room.
pub fn connect(server: &Server) -> WebSocket<Uninterrupted<TcpStream>> {
    open(server, "/ws", Some("byway.v1"))
}

/// Opens a WebSocket of another protocol, at its path.
pub fn connect_at(server: &Server, path: &str) -> WebSocket<Uninterrupted<TcpStream>> {
    open(server, path, None)
}

fn open(server: &Server, path: &str, protocol: Option<&str>) -> WebSocket<Uninterrupted<TcpStream>> {
    let address = server.bound.http[0];
    let stream = TcpStream::connect(address).expect("the HTTP listener accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout is set");
    let mut request = format!("ws://{address}{path}").into_client_request().expect("a request");
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().expect("a header"));
    }
    client(request, Uninterrupted(stream)).expect("a WebSocket").0
}

/// Returns the next message.
pub fn hear(socket: &mut WebSocket<Uninterrupted<TcpStream>>) -> Value {
    loop {
        match socket.read().expect("a message") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Returns code and reason of the server's close frame, which must come next.
pub fn closed(socket: &mut WebSocket<Uninterrupted<TcpStream>>) -> (u16, String) {
    loop {
        match socket.read().expect("a close frame") {
            Message::Close(Some(CloseFrame { code, reason })) => return (code.into(), reason.to_string()),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
