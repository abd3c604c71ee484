//! Requests that no browser sends: refused at once, before anything is read of them, and told in the
//! log without alarm.

use crate::support::{
    app::{Server, Worker},
    database::TestDb,
    eventually,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn start() -> (Server, TestDb) {
    let database = TestDb::sqlite().await;
    let server = tokio::task::block_in_place(|| Server::start(&database, Worker::None));
    (server, database)
}

/// Sends that much, and reads all that is said until the connection ends.
async fn said_to(server: &Server, sent: &str) -> String {
    let address = server.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(sent.as_bytes()).await.expect("it is sent");
    let mut said = Vec::new();
    // The server may end it by a reset.
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_refused_at_once_and_the_connection_ends() {
    let (server, _database) = start().await;
    let upgraded =
        "POST /sign-in HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let asked = [
        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
        "CONNECT /sign-in HTTP/1.1\r\nHost: a\r\n\r\n",
        upgraded,
    ];
    for asked in asked {
        let said = said_to(&server, asked).await;
        let head = said.lines().next().unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 405"), "{asked}: {said}");
        assert!(said.to_lowercase().contains("connection: close"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_not_asked_for() {
    let (server, _database) = start().await;
    let head = |kind: &str, length: u64| {
        format!(
            "POST /sign-in HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        )
    };
    let form = "application/x-www-form-urlencoded";
    for (kind, length) in [
        (form, 9 << 20),
        ("application/json", 9 << 20),
        ("multipart/form-data; boundary=b", 40 << 20),
        ("multipart/form-data; boundary=b", u64::MAX / 2),
    ] {
        let said = said_to(&server, &head(kind, length)).await;
        assert!(said.starts_with("HTTP/1.1 413"), "{kind} of {length}: {said}");
    }
    let compressed = head(form, 10).replace("Expect", "Content-Encoding: gzip\r\nExpect");
    let said = said_to(&server, &compressed).await;
    assert!(said.starts_with("HTTP/1.1 415"), "{said}");
    // Others are.
    let small = format!("{}csrf=none", head(form, 9)).replace("Host", "Connection: close\r\nHost");
    let said = said_to(&server, &small).await;
    assert!(said.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400"), "{said}");
}

/// What is no request, whatever somebody says about the log.
fn odd() -> [String; 6] {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n";
    [
        "GET / HTTP/1.1\r\nHo st: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1} is no request\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200_000)),
        format!("{head}X-Odd: a\0b\r\n\r\n"),
        format!("{head}Content-Length: many\r\n\r\n"),
    ]
}

/// The log of a server that was sent all of it.
async fn log_of_odd_requests(environment: &[(&str, &str)]) -> String {
    let database = TestDb::sqlite().await;
    let start = || Server::start_in(&database, Worker::None, &[], environment);
    let server = tokio::task::block_in_place(start);
    for sent in odd() {
        let said = said_to(&server, &sent).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{sent:.100}: {said}");
    }
    let told = async || {
        let log = server.log();
        (log.matches("no request").count() >= odd().len()).then_some(log)
    };
    eventually(Duration::from_secs(30), told, || server.log()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_has_a_short_line_in_the_log_and_alarms_nobody() {
    for environment in [&[][..], &[("RUST_LOG", "info")]] {
        let log = log_of_odd_requests(environment).await;
        assert!(!log.contains("ERROR") && !log.contains("actix_http"), "{environment:?}: {log}");
        assert!(log.lines().all(|line| line.len() < 1000), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_what_the_server_itself_says_is_told() {
    let asked = "annotator=info,actix_http::h1::dispatcher=error";
    let log = log_of_odd_requests(&[("RUST_LOG", asked)]).await;
    assert!(log.contains("ERROR actix_http::h1::dispatcher"), "{log}");
}
