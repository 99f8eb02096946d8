//! Answers of the public and the admin pages.

use serde_json::json;

use super::in_process::{Client, Server, get, request};

#[tokio::test]
async fn ice_goes_into_a_peer_connection_as_it_is() {
    let server = Server::start().await;
    for method in ["GET", "POST"] {
        let response = request(server.http, &format!("{method} /ice"), &[]).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("vary"), Some("Origin"));
        let ice = response.json();
        assert_eq!(ice["iceServers"][0], json!({"urls": ["stun:127.0.0.1:3478"]}));
        let turn = &ice["iceServers"][1];
        assert_eq!(turn["urls"], json!(["turn:127.0.0.1:3478?transport=udp"]));
        let (expiry, name) = turn["username"].as_str().unwrap().split_once(':').unwrap();
        assert_eq!((expiry.len(), name.len()), (10, 22));
        assert_eq!(turn["credential"].as_str().unwrap().len(), 28);
        assert_eq!((&ice["iceTransportPolicy"], &ice["ttl"]), (&json!("all"), &json!(600)));
        assert!(ice["expiresAt"].as_str().is_some_and(|at| at.len() == 20 && at.ends_with('Z')));
    }
}

#[tokio::test]
async fn no_two_strangers_share_a_name_and_none_chooses_it() {
    let server = Server::start().await;
    let name = async |path: &str| {
        let ice = get(server.http, path, &[]).await.json();
        ice["username"].as_str().unwrap().split_once(':').unwrap().1.to_owned()
    };
    let (one, two) = (name("/turn?service=turn&username=alice").await, name("/turn?username=alice").await);
    assert!(one != two && one != "alice" && two != "alice");
}

#[tokio::test]
async fn turn_has_the_shape_of_the_rest_draft() {
    let server = Server::start().await;
    let response = get(server.http, "/turn", &[]).await;
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let mut turn = response.json();
    assert_eq!(turn["uris"], json!(["turn:127.0.0.1:3478?transport=udp"]));
    assert_eq!(turn["ttl"], 600);
    let turn = turn.as_object_mut().unwrap();
    assert_eq!(turn.keys().collect::<Vec<_>>(), ["password", "ttl", "uris", "username"]);
}

#[tokio::test]
async fn pages_of_other_origins_get_credentials_only_if_listed() {
    let server = Server::start().await;
    let own = format!("http://{}", server.http);
    let listed = "https://app.example.com";
    for (origin, status, allowed) in [
        (own.as_str(), 200, None),
        (listed, 200, Some(listed)),
        ("null", 403, None),
        ("https://app.example.com.", 403, None),
        ("https://app.example.com.evil.org", 403, None),
        ("https://evilapp.example.com", 403, None),
        ("http://app.example.com", 403, None),
        ("http://127.0.0.1:1", 403, None),
    ] {
        for (line, ok) in [("GET /ice", 200), ("POST /ice", 200), ("OPTIONS /ice", 204), ("GET /turn", 200)] {
            let response = request(server.http, line, &[("Origin", origin)]).await;
            assert_eq!(response.status, if status == 200 { ok } else { 403 }, "{line} {origin}");
            assert_eq!(response.header("access-control-allow-origin"), allowed, "{line} {origin}");
            assert_eq!(response.header("vary"), Some("Origin"));
            assert_eq!(response.header("cache-control"), Some("no-store"));
            if status == 403 {
                assert!(!response.text().contains("credential"), "{origin}");
            }
        }
    }
    let preflight = request(server.http, "OPTIONS /ice", &[("Origin", listed)]).await;
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization, content-type"));
    assert_eq!(get(server.http, "/ice", &[("Sec-Fetch-Site", "cross-site")]).await.status, 403);
}

#[tokio::test]
async fn the_page_is_compressed_and_revalidated() {
    let server = Server::start().await;
    for path in ["/", "/index.html", "/app.js", "/byway.js", "/byway/call.js"] {
        let plain = get(server.http, path, &[]).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{path}");
        assert_eq!(plain.header("cache-control"), Some("no-cache"), "{path}");
        for encoding in ["br", "gzip"] {
            let packed = get(server.http, path, &[("Accept-Encoding", encoding)]).await;
            assert_eq!(packed.header("content-encoding"), Some(encoding), "{path}");
            assert!(packed.body.len() < plain.body.len(), "{path}");
        }
        let etag = plain.header("etag").unwrap();
        let again = get(server.http, path, &[("If-None-Match", etag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let changed = get(server.http, path, &[("If-None-Match", "\"other\"")]).await;
        assert_eq!((changed.status, changed.body), (200, plain.body), "{path}");
    }
}

#[tokio::test]
async fn only_the_module_is_for_everyone() {
    let server = Server::start().await;
    // Behind `byway.js` stand the files that it imports, and a browser asks each of them the same.
    let parts = std::fs::read_dir("static/byway").unwrap().map(|part| part.unwrap().file_name());
    let parts = parts.map(|name| format!("/byway/{}", name.to_str().unwrap()));
    for path in parts.chain(["/byway.js".to_owned(), "/byway.d.ts".to_owned()]) {
        let module = get(server.http, &path, &[("Origin", "https://anyone.example")]).await;
        assert_eq!(module.status, 200, "{path}");
        assert_eq!(module.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(module.header("cross-origin-resource-policy"), Some("cross-origin"), "{path}");
    }
    let types = get(server.http, "/byway.d.ts", &[]).await;
    assert_eq!(types.header("content-type"), Some("application/typescript; charset=utf-8"));
    for path in ["/", "/app.js", "/ice", "/nothing"] {
        let response = get(server.http, path, &[]).await;
        assert_eq!(response.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(response.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
    }
}

#[tokio::test]
async fn every_response_is_strict() {
    let server = Server::start().await;
    let etag = get(server.http, "/", &[]).await.header("etag").unwrap().to_owned();
    let requests = [
        (server.http, "GET /", vec![]),
        (server.http, "GET /", vec![("If-None-Match", etag.as_str())]),
        (server.http, "GET /ice", vec![]),
        (server.http, "GET /ice", vec![("Origin", "null")]),
        (server.http, "GET /ws", vec![]),
        (server.http, "GET /nothing", vec![]),
        (server.http, "DELETE /ice", vec![]),
        (server.admin, "GET /metrics", vec![]),
    ];
    for (address, line, headers) in requests {
        let response = request(address, line, &headers).await;
        let csp = response.header("content-security-policy").unwrap();
        assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"), "{line}");
        // The one for WebAssembly compiles no JavaScript.
        let rest = csp.replacen("'wasm-unsafe-eval'", "", 1);
        assert!(!rest.contains("unsafe") && !rest.contains('*'), "{line}");
        assert_eq!(csp.matches("'sha256-").count(), 2, "{line}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{line}");
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"), "{line}");
        let permissions = response.header("permissions-policy").unwrap();
        assert!(permissions.contains("camera=(self)") && permissions.contains("geolocation=()"), "{line}");
    }
}

#[tokio::test]
async fn errors_are_problem_objects() {
    let server = Server::start().await;
    for (line, headers, status, title) in [
        ("GET /nothing", vec![], 404, "Not Found"),
        ("GET /metrics", vec![], 404, "Not Found"),
        ("GET /../Cargo.toml", vec![], 404, "Not Found"),
        ("DELETE /ice", vec![], 405, "Method Not Allowed"),
        ("POST /", vec![], 405, "Method Not Allowed"),
        ("GET /ice", vec![("Origin", "null")], 403, "Forbidden"),
        ("GET /ws", vec![], 426, "Upgrade Required"),
    ] {
        let response = request(server.http, line, &headers).await;
        assert_eq!(response.status, status, "{line}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{line}");
        let problem = response.json();
        assert_eq!((&problem["title"], &problem["status"]), (&json!(title), &json!(status)), "{line}");
        // What its type leads to says the same in words.
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("/problems/{code}"), "{line}");
        let page = get(server.http, &format!("/problems/{code}"), &[]).await.expect_ok();
        assert!(page.text().starts_with(&format!("{code} ({status} {title})\n\n")), "{}", page.text());
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{line}");
    }
}

#[tokio::test]
async fn health_is_real() {
    let server = Server::start().await;
    let healthy = get(server.admin, "/healthz", &[]).await;
    assert_eq!((healthy.status, healthy.text()), (200, "ok\n"));
    server.break_shard();
    let broken = get(server.admin, "/healthz", &[]).await;
    assert_eq!((broken.status, broken.text()), (503, "down: shard 3\n"));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = Server::start().await;
    get(server.http, "/ice", &[]).await;
    get(server.http, "/nothing", &[]).await;
    let mut ann = Client::connect(&server).await;
    ann.join("oak").await;
    ann.say("{}").await;
    ann.hear_error("bad-message").await;
    let response = get(server.admin, "/metrics", &[]).await;
    for line in [
        "byway_rooms 1",
        "byway_members 1",
        "byway_websockets 1",
        "byway_credentials_issued_total 1",
        "byway_http_responses_total{class=\"4xx\"} 1",
        "byway_signaling_errors_total{code=\"bad-message\"} 1",
    ] {
        assert!(response.text().lines().any(|found| found == line), "{line} in\n{}", response.text());
    }
    drop(ann);
    server.until("byway_rooms 0").await;
    server.until("byway_websockets_closed_total{reason=\"lost\"} 1").await;
}

#[tokio::test]
async fn the_schema_of_the_signaling_is_there_for_everyone() {
    let server = Server::start().await;
    let answer = get(server.http, "/schema/byway.v1.json", &[("Origin", "https://elsewhere.example")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/schema+json")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let schema = answer.json();
    assert_eq!(schema["$id"], "/schema/byway.v1.json");
    assert!(schema["$defs"]["ClientMessage"].is_object() && schema["$defs"]["ServerMessage"].is_object());
}

#[tokio::test]
async fn threat_43_metrics_are_negotiated() {
    let server = Server::start().await;
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, is_openmetrics) in [(None, false), (Some("*/*"), false), (Some(prometheus), true)] {
        let headers: Vec<_> = accept.iter().map(|accept| ("Accept", *accept)).collect();
        let page = get(server.admin, "/metrics", &headers).await.expect_ok();
        let kind = match is_openmetrics {
            true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            false => "text/plain; version=0.0.4; charset=utf-8",
        };
        assert_eq!(page.header("content-type"), Some(kind), "{accept:?}");
        assert_eq!(page.header("vary"), Some("Accept"), "{accept:?}");
        assert_eq!(page.text().ends_with("# EOF\n"), is_openmetrics, "{accept:?}");
        let has_line = |line: &str| page.text().lines().any(|found| found.starts_with(line));
        assert!(has_line("# HELP byway_credentials_issued_total "), "{accept:?} {}", page.text());
        // A parser of the text format also has to accept the OpenMetrics page.
        let has_type = has_line("# TYPE byway_credentials_issued_total counter");
        assert_eq!(has_type, !is_openmetrics, "{accept:?}");
    }
}

#[tokio::test]
async fn threat_43_responses_are_dated_once() {
    let server = Server::start().await;
    for path in ["/", "/ice", "/nothing"] {
        let response = get(server.http, path, &[]).await;
        let dates: Vec<_> = response.headers("date").collect();
        let [date] = dates[..] else { panic!("{path}: {dates:?}") };
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
    // What is refused before it is a request is hyper's.
    let malformed = super::in_process::send(server.http, "GET\r\n\r\n").await;
    assert_eq!((malformed.status, malformed.headers("date").count()), (400, 1));
}

#[tokio::test]
async fn files_of_the_npm_package_alone_are_not_served() {
    let server = Server::start().await;
    let records = ["/vendor/vendor.json", "/vendor/uplot/uPlot.d.ts"];
    for path in ["/package.json", "/README.md"].into_iter().chain(records) {
        assert_eq!(get(server.http, path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn files_of_the_page_have_their_type() {
    let server = Server::start().await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/byway/call.js", "text/javascript"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/icons/icon-512.png", "image/png"),
        ("/vendor/qrcode-generator/qrcode.js", "text/javascript"),
        ("/vendor/noise-suppressor/rnnoise.wasm", "application/wasm"),
        ("/vendor/uplot/uPlot.css", "text/css"),
        ("/vendor/uplot/LICENSE.txt", "text/plain"),
        ("/vendor/LICENSES.txt", "text/plain"),
    ] {
        let file = get(server.http, path, &[]).await.expect_ok();
        let found = file.header("content-type").unwrap();
        assert_eq!(found.split(';').next(), Some(kind), "{path}");
        assert_eq!(file.header("cache-control"), Some("no-cache"), "{path}");
    }
}

#[tokio::test]
async fn the_document_holds_the_page_and_stays_small() {
    let server = Server::start().await;
    let page = get(server.http, "/", &[]).await.expect_ok();
    let text = page.text();
    assert_eq!((text.matches("<style>").count(), text.matches("<script").count()), (1, 1));
    assert!(!text.contains("rel=\"stylesheet\"") && !text.contains("app.js\""));
    // At 50 kB/s and a round trip of 400 ms the page is usable within 1.5 s.
    let packed = get(server.http, "/", &[("Accept-Encoding", "br")]).await;
    assert!(packed.body.len() <= 48_000, "{} bytes", packed.body.len());
}

#[tokio::test]
async fn help_is_the_document_about_faults() {
    let server = Server::start().await;
    let page = get(server.http, "/help", &[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    let text = page.text();
    for anchor in ["<h3 id=\"relay-ports-blocked\">", "<h2 id=\"what-the-probe-says\">"] {
        assert!(text.contains(anchor), "{anchor}");
    }
    // Other documents are not served.
    assert!(!text.contains(".md\""), "a link to a document");
    assert!(!text.contains("<script") && !text.contains(" style=\""), "inline code or style");
    assert_eq!(get(server.http, "/help.html", &[]).await.status, 404);
}

#[tokio::test]
async fn the_self_test_page_learns_facts_without_a_secret() {
    let server = Server::start().await;
    let response = get(server.http, "/check/server", &[]).await;
    assert_eq!((response.status, response.header("cache-control")), (200, Some("no-store")));
    let mut facts = response.json();
    let now = facts["now"].take().as_u64().unwrap();
    assert!(now > 1_700_000_000_000 && now.is_multiple_of(1_000), "{now}");
    let expected = json!({
        "now": null,
        "version": env!("CARGO_PKG_VERSION"),
        "access": "open",
        "stun": ["stun:127.0.0.1:3478"],
        "discovery": [],
        "client": "loopback",
        "relays_to_client": false,
    });
    assert_eq!(facts, expected);
}

#[tokio::test]
async fn the_self_test_page_has_a_policy_of_its_own() {
    let server = Server::start().await;
    let policy_of = async |path: &str| {
        let response = get(server.http, path, &[]).await;
        assert_eq!(response.status, 200, "{path}");
        response.header("content-security-policy").unwrap().to_owned()
    };
    let policy = policy_of("/check").await;
    assert_ne!(policy, policy_of("/").await);
    assert!(!policy.contains("unsafe") && policy.contains("trusted-types 'none'"), "{policy}");
    assert_eq!(get(server.http, "/check.html", &[]).await.status, 404);
}
